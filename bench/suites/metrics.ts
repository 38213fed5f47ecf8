/**
 * What counting costs: user CPU for each edit of two servers that take turns under the same load, one as it is and one whose
 * counters and histograms count nothing (`uncounted.ts`); or, with `--against`, that of another build. Each pair of turns is
 * compared with itself, since what the machine does beside it changes from one to the next.
 */
import { systemClock } from '../../src/base/time.ts';
import { createGatewayMetrics } from '../../src/gateway/gateway-metrics.ts';
import type { ShardState } from '../../src/workers/shard-gauges.ts';
import { createShardMetrics } from '../../src/workers/shard-metrics.ts';
import { openBenchDatabase, type BenchDatabase } from '../lib/database.ts';
import { figure, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { LoadGenerator } from '../lib/load.ts';
import { checkPages, type PreparedPage, preparePages } from '../lib/load-pages.ts';
import { must } from '../lib/must.ts';
import { userCpu } from '../lib/processes.ts';
import { RAISED_TEXT, type ServerProcess, startServer } from '../lib/server-process.ts';

const PAGES = 50;
const CLIENTS_EACH = 4;
const WARM_UP_MS = 2000;
const AGAIN_MS = 200;
const GOAL_PERCENT = 3;
const TEXTS_CHECKED = 2;
const EDITS = 300_000;
const MODE = { kind: 'closed', inFlight: 16 } as const;

interface Side {
  readonly server: ServerProcess;
  readonly database: BenchDatabase;
  readonly generator: LoadGenerator;
  readonly pages: PreparedPage[];
  typed: number[][];
  readonly rounds: number[];
}

async function open(options: SuiteOptions, flags: readonly string[]): Promise<Side> {
  const database = await openBenchDatabase();
  const server = await startServer(options, database.url, {}, flags);
  const generator = new LoadGenerator([server], database, options.pin);
  const pages = await preparePages(PAGES, CLIENTS_EACH, () => server);
  await generator.connect(pages);
  await generator.run(MODE, 0, WARM_UP_MS);
  return { server, database, generator, pages, typed: [], rounds: [] };
}

/** µs of user CPU for each edit. */
async function turn(side: Side, ms: number): Promise<number> {
  const before = userCpu(side.server.pid);
  const { sent, typed } = await side.generator.run(MODE, AGAIN_MS, ms).then((run) => ({ sent: total(run.typed), ...run }));
  const edits = sent - total(side.typed);
  side.typed = typed;
  must(edits > 0, 'there were edits');
  return (1e6 * (userCpu(side.server.pid) - before)) / edits;
} // prettier-ignore

const total = (typed: readonly (readonly number[])[]) => typed.flat().reduce((sum, one) => sum + one, 0);

/** How many commits it says that it has counted. */
async function counted({ server }: Side): Promise<number> {
  const text = await (await fetch(new URL('/metrics', server.url.replace('ws:', 'http:')))).text();
  return Number(/^octavo_changes_committed_total (\d+)$/m.exec(text)?.[1]);
}

/** ns of CPU that counting takes of an edit which is alone in every batch: the most that it can be. One value a round. */
function countedAlone(rounds: number): number[] {
  const { actors, arrived, batchDone } = createShardMetrics(() => ({}) as ShardState, { memoryBytesMax: 1 });
  const gateway = createGatewayMetrics(() => ({ sockets: 0, paused: 0, unread: 0, most: 0 }));
  return Array.from({ length: rounds }, () => {
    const before = process.cpuUsage().user;
    for (let edit = 0; edit < EDITS; edit++) {
      // As on the way of a change: the clock is read where it is not read anyway.
      const at = systemClock.monotonic();
      arrived(systemClock.monotonic() - at);
      actors.change('accepted', 'text');
      const ms = 0.2 + (edit & 7);
      actors.commitMs(ms, ms);
      actors.committed(1, 90);
      actors.lost(0);
      batchDone({ changes: 1, ms, conflicts: 0 });
      const since = systemClock.monotonic();
      gateway.batchDone({ at: since, since: at }, systemClock.monotonic());
    }
    return ((process.cpuUsage().user - before) * 1000) / EDITS;
  });
}

export async function metrics(options: SuiteOptions): Promise<SuiteResult> {
  const sides: Side[] = [];
  const shares: number[] = [];
  const ms = (options.seconds * 1000) / options.rounds / 2;
  try {
    const uncounted = ['--import', new URL('../lib/uncounted.js', import.meta.url).href];
    const other = options.against === null ? options : { ...options, server: options.against };
    const counting = await open(options, []);
    sides.push(counting);
    const without = await open(other, options.against === null ? uncounted : []);
    sides.push(without);
    for (const side of sides) await turn(side, AGAIN_MS);
    must((await counted(counting)) > 0, 'the server counts');
    if (options.against === null) must((await counted(without)) === 0, 'the other one does not');
    for (let round = 0; round < options.rounds; round++) {
      // Who comes first takes turns too.
      const order = round % 2 === 0 ? [counting, without] : [without, counting];
      for (const side of order) side.rounds.push(await turn(side, ms));
      shares.push(100 * (counting.rounds.at(-1)! / without.rounds.at(-1)! - 1));
    }
    for (const { server, pages, typed } of sides) await checkPages(server, pages, typed, TEXTS_CHECKED);
    countedAlone(1);
    const alone = figure(
      'counting an edit that is alone in every batch',
      'ns',
      'lower',
      countedAlone(options.rounds),
    );
    const cost = figure('counting: share of it', '%', 'lower', shares);
    const notes = cost.median <= GOAL_PERCENT ? [] : [`more than the goal, ${GOAL_PERCENT} %`];
    for (const { server } of sides) notes.push(...(await server.stop()));
    const figures = [
      figure('counting: user CPU', 'µs/edit', 'lower', counting.rounds),
      figure(`${options.against ?? 'not counting'}: user CPU`, 'µs/edit', 'lower', without.rounds),
      cost,
      alone,
    ];
    const settings = {
      load: `${PAGES} pages × ${CLIENTS_EACH} clients, closed loop, ${MODE.inFlight} in flight, durable; ${options.rounds} pairs of turns`,
      limits: RAISED_TEXT,
    };
    return { suite: 'metrics', settings, figures, notes };
  } finally {
    for (const { generator, server, database } of sides) {
      generator.stop();
      server.kill();
      await database.drop();
    }
  }
}
