/**
 * Two nodes on one database, with Redis between them. An edit is seen when the next client of its page has it, and in the
 * modes "across" that one is on the other node. What one node alone does is measured in the same run, turn by turn with what
 * two do: pages that both write (no node owns a page, so appends race), and pages that a balancer keeps on one node each.
 */
import { randomBytes } from 'node:crypto';
import { checkpoint, databaseVersion, openBenchDatabase } from '../lib/database.ts';
import { figure, type Figure, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { LoadGenerator, type Measured } from '../lib/load.ts';
import { checkPages, preparePages } from '../lib/load-pages.ts';
import { openBenchRedis } from '../lib/redis.ts';
import { RAISED_TEXT, type ServerProcess, startServer } from '../lib/server-process.ts';
import type { LoadMode } from '../load/orders.ts';

type Nodes = readonly [ServerProcess, ServerProcess];

interface Mode {
  readonly name: string;
  readonly pages: number;
  readonly load: LoadMode;
  nodeOf(nodes: Nodes, page: number, slot: number): ServerProcess;
}

const CLIENTS_EACH = 4;
const WARM_UP_MS = 1500;
const FULL: LoadMode = { kind: 'closed', inFlight: 16 };

const onOne: Mode['nodeOf'] = ([first]) => first;
const across: Mode['nodeOf'] = (nodes, _page, slot) => nodes[slot % 2]!;
const byPage: Mode['nodeOf'] = (nodes, page) => nodes[page % 2]!;

/** Those of one group take turns, so that they meet the same machine. */
const GROUPS: readonly (readonly Mode[])[] = [
  [
    { name: '50 pages, 1,000/s, one node', pages: 50, load: { kind: 'open', perSecond: 1000 }, nodeOf: onOne },
    { name: '50 pages, 1,000/s, across', pages: 50, load: { kind: 'open', perSecond: 1000 }, nodeOf: across },
  ],
  [
    { name: '1 page, full, one node', pages: 1, load: FULL, nodeOf: onOne },
    { name: '1 page, full, across', pages: 1, load: FULL, nodeOf: across },
  ],
  [
    { name: '10 pages, full, one node', pages: 10, load: FULL, nodeOf: onOne },
    { name: '10 pages, full, two nodes, each page on one', pages: 10, load: FULL, nodeOf: byPage },
  ],
]; // prettier-ignore

export async function nodes(options: SuiteOptions): Promise<SuiteResult> {
  const database = await openBenchDatabase();
  const redis = await openBenchRedis();
  const env = { REDIS_URL: redis.url, JWT_SECRET: randomBytes(32).toString('hex') };
  const started: ServerProcess[] = [];
  const figures: Figure[] = [];
  const notes: string[] = [];
  let generator: LoadGenerator | undefined;
  try {
    for (let i = 0; i < 2; i++) started.push(await startServer(options, database.url, env));
    const both = started as unknown as Nodes;
    generator = new LoadGenerator(started, database, options.pin);
    for (const group of GROUPS) {
      const modes = group.filter(({ name }) => options.only === null || name.includes(options.only));
      const rounds = new Map(modes.map((mode) => [mode, [] as Measured[]]));
      // The first is a rehearsal: a node whose code is not compiled yet takes three times as long for an edit.
      for (let round = -1; round < options.rounds; round++) {
        for (const mode of modes) {
          await checkpoint(database.url);
          const measured = await measure(generator, both, mode, options);
          if (round >= 0) rounds.get(mode)!.push(measured);
        }
      }
      for (const [mode, measured] of rounds) figures.push(...figuresOf(mode, measured));
    }
    for (const server of started) notes.push(...(await server.stop()));
  } finally {
    generator?.stop();
    for (const server of started) server.kill();
    redis.stop();
    await database.drop();
  }
  const settings = {
    load: `${CLIENTS_EACH} clients a page, one keystroke an edit, durable; full: 16 in flight each`,
    limits: RAISED_TEXT,
    cores: options.pin ? 'both nodes on 0, generator on 1, PostgreSQL and Redis on any' : 'not pinned',
    postgres: (await databaseVersion()) ?? 'none',
  };
  return { suite: 'nodes', settings, figures, notes };
}

async function measure(
  generator: LoadGenerator,
  both: Nodes,
  mode: Mode,
  { seconds, rounds }: SuiteOptions,
): Promise<Measured> {
  const pages = await preparePages(mode.pages, CLIENTS_EACH, (page, slot) => mode.nodeOf(both, page, slot));
  await generator.connect(pages);
  const measured = await generator.run(mode.load, WARM_UP_MS, (seconds * 1000) / rounds);
  await checkPages(both[1], pages, measured.typed, 1);
  await generator.disconnect();
  return measured;
}

/** Of what all typed: clients with even slots are on one node, the others on the other. */
function lesserShare(typed: readonly number[][]): number {
  const byNode = [0, 0];
  for (const page of typed) page.forEach((sum, slot) => (byNode[slot % 2]! += sum));
  return Math.min(...byNode) / (byNode[0]! + byNode[1]!);
}

function figuresOf({ name, load, nodeOf }: Mode, rounds: readonly Measured[]): Figure[] {
  const of = (what: string, unit: string, better: Figure['better'], value: (round: Measured) => number) =>
    figure(`${name}: ${what}`, unit, better, rounds.map(value));
  const figures: Figure[] = [];
  const isContest = load.kind === 'closed' && nodeOf === across;
  if (load.kind === 'closed')
    figures.push(of('durable edits', '1/s', 'higher', ({ accepted, seconds }) => accepted / seconds));
  if (isContest)
    figures.push(of('share of the node with less', '%', 'higher', ({ typed }) => 100 * lesserShare(typed)));
  figures.push(
    of('p50', 'ms', 'lower', ({ p50 }) => p50),
    of('p99', 'ms', 'lower', ({ p99 }) => p99),
    of('CPU of the nodes', 'µs/edit', 'lower', ({ cost, accepted, seconds }) => (1e6 * cost.server * seconds) / accepted),
    of('PostgreSQL CPU', 'µs/edit', 'lower', ({ cost, accepted, seconds }) => (1e6 * cost.postgres * seconds) / accepted),
  );
  return figures;
} // prettier-ignore
