/**
 * A page of 10,000 blocks: how long and how many bytes it takes a new client to have it, from a server that has just
 * started (cold) and from one that holds the page (warm), and what a join costs the server; then what edits cost on it,
 * beside a page of 10 blocks, turn by turn in one run.
 */
import type { BlockId } from '../../src/protocol/ids.ts';
import { openBenchDatabase, type BenchDatabase, checkpoint } from '../lib/database.ts';
import { figure, type Figure, median, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { join, type Joined } from '../lib/joiner.ts';
import { LoadGenerator, type Measured } from '../lib/load.ts';
import { checkPages, makePage, type PreparedPage, typingClients } from '../lib/load-pages.ts';
import { must } from '../lib/must.ts';
import { type PagePlan, planPage } from '../lib/pages.ts';
import { usageOf } from '../lib/processes.ts';
import { RAISED_TEXT, type ServerProcess, startServer } from '../lib/server-process.ts';
import type { LoadMode } from '../load/orders.ts';

const LARGE = 10_000;
const SMALL = 10;
const CHARACTERS = 80;
const CLIENTS = 4;
const WARM_JOINS = 20;
const WARM_UP_MS = 700;
const LOADS: readonly { readonly name: string; readonly mode: LoadMode }[] = [
  { name: '1 in flight', mode: { kind: 'closed', inFlight: 1 } },
  { name: '16 in flight', mode: { kind: 'closed', inFlight: 16 } },
];

interface Pages {
  readonly large: PagePlan;
  readonly small: PagePlan;
}

async function once(server: ServerProcess, plan: PagePlan): Promise<Joined> {
  const joined = await join(server.url, await server.token('reader'), plan.page);
  joined.socket.close();
  must(joined.table().size === plan.blocks.length + 1, 'a new client has every block');
  return joined;
}

/** One start of the server: a cold open, then warm ones. */
async function opens(options: SuiteOptions, database: BenchDatabase, { large, small }: Pages) {
  const server = await startServer(options, database.url);
  try {
    await once(server, small);
    const cold = await once(server, large);
    const token = await server.token('reader');
    const warmMs: number[] = [];
    const before = usageOf(server.pid).cpu;
    for (let i = 0; i < WARM_JOINS; i++) {
      const joined = await join(server.url, token, large.page);
      joined.socket.close();
      warmMs.push(joined.ms);
    }
    const cpuMs = ((usageOf(server.pid).cpu - before) * 1000) / WARM_JOINS;
    await server.stop();
    return { cold, warmMs: median(warmMs), cpuMs };
  } finally {
    server.kill();
  }
}

async function openFigures(options: SuiteOptions, database: BenchDatabase, pages: Pages): Promise<{ figures: Figure[]; bytes: number; note: string }> {
  const rounds: Awaited<ReturnType<typeof opens>>[] = [];
  for (let round = 0; round < options.rounds; round++) rounds.push(await opens(options, database, pages));
  const { bytes, framesSent, roundTrips } = rounds.at(-1)!.cold;
  return {
    bytes,
    note: `an open takes ${framesSent} frames from the client, written at once: ${roundTrips} round trip`,
    figures: [
      figure('cold open: to the last byte', 'ms', 'lower', rounds.map(({ cold }) => cold.ms)),
      figure('warm open: to the last byte', 'ms', 'lower', rounds.map(({ warmMs }) => warmMs)),
      figure('open: on the wire', 'bytes', 'lower', rounds.map(({ cold }) => cold.bytes)),
      figure('warm open: server CPU', 'ms', 'lower', rounds.map(({ cpuMs }) => cpuMs)),
    ],
  };
} // prettier-ignore

/** Clients of a page, each in a block of its own, spread over the page. */
async function prepared(server: ServerProcess, plan: PagePlan): Promise<PreparedPage> {
  const stride = Math.floor(plan.blocks.length / CLIENTS);
  const blocks = Array.from({ length: CLIENTS }, (_, i) => plan.blocks[i * stride] as BlockId);
  return { page: plan.page, clients: await typingClients(server, blocks), head: plan.bodies.length };
}

async function edits(options: SuiteOptions, database: BenchDatabase, server: ServerProcess): Promise<{ figures: Figure[]; notes: string[] }> {
  const figures: Figure[] = [];
  const notes: string[] = [];
  for (const { name, mode } of LOADS) {
    // Fresh pages for each load, so that neither starts with the other's log.
    const plans = [planPage(SMALL, CHARACTERS, 10 + figures.length), planPage(LARGE, CHARACTERS, 11 + figures.length)];
    const sides: { page: PreparedPage; generator: LoadGenerator; rounds: Measured[] }[] = [];
    for (const plan of plans) {
      await makePage(server, plan.page, plan.bodies);
      const page = await prepared(server, plan);
      const generator = new LoadGenerator([server], database, options.pin);
      await generator.connect([page]);
      sides.push({ page, generator, rounds: [] });
    }
    const measureMs = (options.seconds * 1000) / options.rounds / 2;
    for (let round = 0; round < options.rounds; round++) {
      await checkpoint(database.url);
      for (const side of sides) side.rounds.push(await side.generator.run(mode, WARM_UP_MS, measureMs));
    }
    for (const { page, generator, rounds } of sides) {
      generator.stop();
      await checkPages(server, [page], rounds.at(-1)!.typed, 1);
    }
    sides.forEach(({ rounds }, i) => figures.push(...editFigures(`${name}, ${plans[i]!.blocks.length} blocks`, rounds)));
    const [small, large] = sides.map(({ rounds }) => median(rounds.map(({ accepted, seconds }) => accepted / seconds)));
    notes.push(`${name}: ${LARGE} blocks take ${((100 * large!) / small!).toFixed(0)} % of the edits that ${SMALL} blocks take`);
  }
  return { figures, notes };
} // prettier-ignore

function editFigures(name: string, rounds: readonly Measured[]): Figure[] {
  return [
    figure(`${name}: durable edits`, '1/s', 'higher', rounds.map(({ accepted, seconds }) => accepted / seconds)),
    figure(`${name}: p50`, 'ms', 'lower', rounds.map(({ p50 }) => p50)),
    figure(`${name}: p99`, 'ms', 'lower', rounds.map(({ p99 }) => p99)),
  ];
} // prettier-ignore

export async function largePage(options: SuiteOptions): Promise<SuiteResult> {
  const database = await openBenchDatabase();
  const pages: Pages = { large: planPage(LARGE, CHARACTERS), small: planPage(SMALL, CHARACTERS, 2) };
  const server = await startServer(options, database.url);
  try {
    for (const { page, bodies } of [pages.small, pages.large]) await makePage(server, page, bodies);
    const edited = await edits(options, database, server);
    edited.notes.push(...(await server.stop()));
    const opened = await openFigures(options, database, pages);
    const settings = {
      page: `${LARGE} blocks of ${CHARACTERS} characters; ${Math.round(opened.bytes / 1024)} KiB on the wire`,
      edits: `${CLIENTS} clients, each in a block of its own, one keystroke an edit, durable`,
      limits: RAISED_TEXT,
      'warm opens': `${WARM_JOINS} a round, of which the median`,
    };
    const figures = [...opened.figures, ...edited.figures];
    return { suite: 'large-page', settings, figures, notes: [opened.note, ...edited.notes] };
  } finally {
    server.kill();
    await database.drop();
  }
}
