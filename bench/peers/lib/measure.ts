/**
 * One round of one peer in one scenario: a fresh database and a fresh process, the load, the check of what arrived, and
 * everything is gone again. Nothing outside the window counts.
 */
import { checkpoint, type EmptyDatabase, openBenchDatabase, openEmptyDatabase } from '../../lib/database.ts';
import { median } from '../../lib/figures.ts';
import { LoadGenerator, type Measured } from '../../lib/load.ts';
import { familyCpu, usageOf } from '../../lib/processes.ts';
import type { Plan } from '../load/plan.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { isContended, type Round } from './rounds.ts';
import type { JoinScenario, LoadScenario, Scenario } from './scenarios.ts';

const GENERATOR = new URL('../load/generator.js', import.meta.url);
const JOINS_UNTIMED = 5;

const DATABASES = { octavo: openBenchDatabase, empty: openEmptyDatabase, none: async () => null } as const;

export interface MeasureOptions {
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly pin: boolean;
  readonly octavo: string;
  /** Rejects when the whole is to end. */
  readonly interrupted: Promise<never>;
}

export async function measure(peer: Peer, scenario: Scenario, options: MeasureOptions): Promise<Round> {
  const { pin, octavo, interrupted } = options;
  const database = await DATABASES[peer.database]();
  let running: RunningPeer | undefined;
  let generator: LoadGenerator<Plan> | undefined;
  try {
    running = await peer.start({ database, pin, octavo });
    if (scenario.kind === 'join') {
      return await Promise.race([joins(running, database, scenario), interrupted]);
    }
    generator = new LoadGenerator<Plan>([running], database, pin, GENERATOR);
    return await Promise.race([load(running, generator, database, scenario, options), interrupted]);
  } finally {
    generator?.stop();
    await running?.stop();
    await database?.drop();
  }
} // prettier-ignore

async function load(
  peer: RunningPeer,
  generator: LoadGenerator<Plan>,
  database: EmptyDatabase | null,
  { mode, pages }: LoadScenario,
  { warmUpMs, measureMs }: MeasureOptions,
): Promise<Round> {
  const plan = await peer.plan(pages);
  await generator.connect(plan);
  if (database) await checkpoint(database.url);
  const typistsEach = pages.readers ? 1 : pages.clientsEach;
  // A loop as fast as it goes compiles what there is to compile: at a low rate that would take minutes.
  if (mode.kind === 'open') await generator.run({ kind: 'closed', inFlight: 1 }, warmUpMs, 0, typistsEach);
  const measured = await generator.run(mode, warmUpMs, measureMs, typistsEach);
  // Before anyone leaves: a page without clients may leave memory, and be gone.
  await peer.check(plan, measured.typed);
  await generator.disconnect();
  const deliveriesPerSecond = measured.accepted / measured.seconds;
  const editsPerSecond = deliveriesPerSecond / (pages.readers ? pages.clientsEach - 1 : 1);
  const { cost } = measured;
  return {
    editsPerSecond,
    deliveriesPerSecond,
    p50Ms: measured.p50,
    p99Ms: measured.p99,
    serverCpuPercent: 100 * cost.server,
    databaseCpuPercent: 100 * cost.postgres,
    generatorCpuPercent: 100 * cost.generator,
    editsPerCpuSecond: editsPerSecond / (cost.server + cost.postgres),
    cpuMsEach: null,
    isContended: isContended({ ...cost, database: cost.postgres }),
    notes: notesOf(measured, mode.kind === 'open' ? mode.perSecond : null, editsPerSecond),
  };
}

function notesOf({ cost, lateP99, saturated }: Measured, due: number | null, reached: number): string[] {
  const notes: string[] = [];
  if (cost.generator > 0.9) notes.push('the generator was the limit');
  if (due === null) return notes;
  if (lateP99 > 1) notes.push('the generator wrote more than 1 ms late (p99), which the latencies contain');
  if (saturated || reached < 0.98 * due) notes.push('the rate was not reached');
  return notes;
} // prettier-ignore

async function joins(
  peer: RunningPeer,
  database: EmptyDatabase | null,
  { blocks, characters, joins: count }: JoinScenario,
): Promise<Round> {
  await peer.makeLarge(blocks, characters);
  for (let i = 0; i < JOINS_UNTIMED; i++) await peer.joinLarge();
  peer.checkLarge();
  const at = () => ({
    ms: performance.now(),
    server: usageOf(peer.pid),
    database: database ? familyCpu(database.postmasterPid) : 0,
    joiner: usageOf(process.pid),
  });
  const from = at();
  const ms: number[] = [];
  for (let i = 0; i < count; i++) ms.push(await peer.joinLarge());
  const to = at();
  peer.checkLarge();
  const seconds = (to.ms - from.ms) / 1000;
  const serverCpu = to.server.cpu - from.server.cpu;
  const databaseCpu = to.database - from.database;
  const contention = {
    serverWait: (to.server.wait - from.server.wait) / seconds,
    generatorWait: (to.joiner.wait - from.joiner.wait) / seconds,
    serverRest: (serverCpu - to.server.main + from.server.main) / seconds,
    database: databaseCpu / seconds,
    others: 0,
  };
  return {
    editsPerSecond: null,
    deliveriesPerSecond: null,
    p50Ms: median(ms),
    p99Ms: Math.max(...ms),
    serverCpuPercent: (100 * serverCpu) / seconds,
    databaseCpuPercent: (100 * databaseCpu) / seconds,
    generatorCpuPercent: (100 * (to.joiner.cpu - from.joiner.cpu)) / seconds,
    editsPerCpuSecond: null,
    cpuMsEach: (1000 * (serverCpu + databaseCpu)) / count,
    isContended: isContended(contention),
    notes: [],
  };
}
