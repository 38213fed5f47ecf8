/**
 * A thread of `run.ts`: runs portions of seeds as they are handed to it, and tells what came of them.
 */
import { parentPort } from 'node:worker_threads';
import { type Outcome, runSeed } from './world.ts';

export interface Portion {
  readonly from: number;
  readonly to: number;
}

export interface PortionDone {
  readonly seeds: number;
  readonly edits: number;
  readonly changes: number;
  readonly events: number;
  readonly failed: readonly Outcome[];
}

export async function runPortion({ from, to }: Portion, isFirstEnough: boolean): Promise<PortionDone> {
  const failed: Outcome[] = [];
  const sum = { seeds: 0, edits: 0, changes: 0, events: 0 };
  for (let seed = from; seed <= to; seed++) {
    const outcome = await runSeed(seed);
    sum.seeds++;
    sum.edits += outcome.edits;
    sum.changes += outcome.changes;
    sum.events += outcome.events;
    if (outcome.failure) failed.push(outcome);
    if (outcome.failure && isFirstEnough) break;
  }
  return { ...sum, failed };
}

parentPort?.on('message', ({ portion, isFirstEnough }: { portion: Portion; isFirstEnough: boolean }) => {
  void runPortion(portion, isFirstEnough).then((done) => parentPort!.postMessage(done));
});
