/**
 * The whole way: sockets, gateway, shard, commit in PostgreSQL, broadcast. 50 pages of 4 clients, every edit one typed
 * character, all durable before anyone is told. Server, PostgreSQL and load generator are processes of their own and
 * their CPU time is counted apart; where the generator or a lack of cores was the limit, a note says so.
 */
import { databaseVersion, openBenchDatabase, checkpoint } from '../lib/database.ts';
import { figure, type Figure, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { LoadGenerator, type Measured } from '../lib/load.ts';
import { checkPages, preparePages } from '../lib/load-pages.ts';
import { RAISED_TEXT, startServer } from '../lib/server-process.ts';
import type { LoadMode } from '../load/orders.ts';

const PAGES = 50;
const CLIENTS_EACH = 4;
const WARM_UP_MS = 1500;
const TEXTS_CHECKED = 5;

const MODES: readonly { readonly name: string; readonly mode: LoadMode }[] = [
  { name: 'closed loop, 1 in flight', mode: { kind: 'closed', inFlight: 1 } },
  { name: 'closed loop, 16 in flight', mode: { kind: 'closed', inFlight: 16 } },
  { name: 'open loop, 2,000/s', mode: { kind: 'open', perSecond: 2000 } },
  { name: 'open loop, 10,000/s', mode: { kind: 'open', perSecond: 10_000 } },
  { name: 'open loop, 20,000/s', mode: { kind: 'open', perSecond: 20_000 } },
];

export async function endToEnd(options: SuiteOptions): Promise<SuiteResult> {
  const database = await openBenchDatabase();
  const server = await startServer(options, database.url);
  const generator = new LoadGenerator([server], database, options.pin);
  const figures: Figure[] = [];
  const notes: string[] = [];
  try {
    for (const { name, mode } of MODES) {
      if (options.only !== null && !name.includes(options.only)) continue;
      const pages = await preparePages(PAGES, CLIENTS_EACH, () => server);
      await generator.connect(pages);
      const rounds: Measured[] = [];
      for (let round = 0; round < options.rounds; round++) {
        await checkpoint(database.url);
        rounds.push(await generator.run(mode, WARM_UP_MS, (options.seconds * 1000) / options.rounds));
        if (rounds.at(-1)!.saturated) break;
      }
      await checkPages(server, pages, rounds.at(-1)!.typed, TEXTS_CHECKED);
      await generator.disconnect();
      figures.push(...figuresOf(name, mode, rounds));
      notes.push(...notesOf(name, mode, rounds));
    }
    notes.push(...(await server.stop()));
  } finally {
    generator.stop();
    server.kill();
    await database.drop();
  }
  const settings = {
    load: `${PAGES} pages × ${CLIENTS_EACH} clients, one keystroke an edit, durable`,
    limits: RAISED_TEXT,
    cores: options.pin ? 'server on 0, generator on 1, PostgreSQL on any' : 'not pinned',
    postgres: (await databaseVersion()) ?? 'none',
  };
  return { suite: 'end-to-end', settings, figures, notes };
}

function figuresOf(name: string, mode: LoadMode, rounds: readonly Measured[]): Figure[] {
  const of = (what: string, unit: string, better: Figure['better'], value: (round: Measured) => number) =>
    figure(`${name}: ${what}`, unit, better, rounds.map(value));
  const figures: Figure[] = [];
  if (mode.kind === 'closed') {
    figures.push(of('durable edits', '1/s', 'higher', ({ accepted, seconds }) => accepted / seconds));
  }
  figures.push(
    of('p50', 'ms', 'lower', ({ p50 }) => p50),
    of('p99', 'ms', 'lower', ({ p99 }) => p99),
    of('server CPU', 'µs/edit', 'lower', ({ cost, accepted, seconds }) => (1e6 * cost.server * seconds) / accepted),
    of('PostgreSQL CPU', 'µs/edit', 'lower', ({ cost, accepted, seconds }) => (1e6 * cost.postgres * seconds) / accepted),
    of('generator CPU', '% of a core', 'lower', ({ cost }) => 100 * cost.generator),
  );
  return figures;
} // prettier-ignore

function notesOf(name: string, mode: LoadMode, rounds: readonly Measured[]): string[] {
  const notes: string[] = [];
  const worst = (value: (round: Measured) => number) => Math.max(...rounds.map(value));
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const generator = worst(({ cost }) => cost.generator);
  if (generator > 0.9) notes.push(`${name}: the generator was the limit (${percent(generator)} of its core)`);
  const wait = Math.max(
    worst(({ cost }) => cost.serverWait),
    worst(({ cost }) => cost.generatorWait),
  );
  if (wait > 0.1) notes.push(`${name}: a main thread waited ${percent(wait)} of the time for its core: a crowded machine, or threads that share one`); // prettier-ignore
  if (mode.kind === 'open') {
    const late = worst(({ lateP99 }) => lateP99);
    if (late > 1) notes.push(`${name}: the generator wrote up to ${late.toFixed(1)} ms late (p99), which the latencies contain`); // prettier-ignore
    const least = Math.min(...rounds.map(({ accepted, seconds }) => accepted / seconds));
    if (least < 0.98 * mode.perSecond || rounds.some(({ saturated }) => saturated))
      notes.push(`${name}: the rate was not reached (${Math.round(least)}/s)`);
  }
  return notes;
}
