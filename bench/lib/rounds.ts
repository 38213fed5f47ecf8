/**
 * Times a synchronous piece of work: finds how often it must run for a round to last long enough, warms up, then runs
 * the rounds. The piece gets a count and runs that often, so that the loop itself is compiled with it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { figure, type Figure, type SuiteOptions } from './figures.ts';

const WARM_UP_MS = 200;
const CALIBRATE_MS = 20;

export type Repeated = (times: number) => void;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage now, so that a round does not pay for what was made before it. */
export function collectGarbage(): void {
  collect();
}

export function timed(work: () => void): number {
  const from = performance.now();
  work();
  return performance.now() - from;
}

/** Operations each second, and what one takes in ns. */
export function measureRate(name: string, options: SuiteOptions, run: Repeated): Figure[] {
  let times = 1;
  let ms = timed(() => run(times));
  while (ms < CALIBRATE_MS) {
    times *= 2;
    ms = timed(() => run(times));
  }
  for (let spent = 0; spent < WARM_UP_MS;) spent += timed(() => run(times));
  ms = timed(() => run(times));
  const roundMs = (options.seconds * 1000) / options.rounds;
  const each = Math.max(1, Math.round((times * roundMs) / ms));
  const nsPerOp: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    collectGarbage();
    nsPerOp.push((timed(() => run(each)) * 1e6) / each);
  }
  return rateFigures(name, nsPerOp);
}

export function rateFigures(name: string, nsPerOp: readonly number[]): Figure[] {
  const perSecond = nsPerOp.map((ns) => 1e9 / ns);
  return [figure(name, 'ops/s', 'higher', perSecond), figure(name, 'ns', 'lower', nsPerOp)];
}

/** Keeps a result alive, so that the compiler cannot leave the work out. */
let sink: unknown;
export function keep(value: unknown): void {
  sink = value;
}
export const kept = (): unknown => sink;
