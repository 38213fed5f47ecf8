/**
 * Whether the figures of a run are the server's, or those of the machine that made the load. Pure.
 */
import type { Millis } from '../base/time.ts';

export interface Strain {
  readonly threads: readonly {
    readonly busy: number;
    readonly busyMost: number;
    readonly loopDelayMs: Millis;
  }[];
  readonly lateP99: Millis;
  /** Edits are due by the clock, and not by answers. */
  readonly isOpen: boolean;
  /** Cores that the generator used, and that the machine has. */
  readonly cpu: number;
  readonly cores: number;
  /** Cores that the server used, if it is on this machine; null: unknown, or elsewhere. */
  readonly serverCpu: number | null;
  readonly unsent: number;
}

const BUSY_MAX = 0.85;
const LATE_MAX_MS: Millis = 5;
const LOOP_DELAY_MAX_MS: Millis = 100;
const MACHINE_MAX = 0.95;

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** One sentence for each reason to doubt; none: the server was what was measured. */
export function bottlenecks(strain: Strain): string[] {
  const { threads, lateP99, isOpen, cpu, cores, serverCpu } = strain;
  const found: string[] = [];
  const busiest = threads.reduce((most, { busy }, i) => (busy > (threads[most]?.busy ?? 0) ? i : most), 0);
  const busy = threads[busiest]?.busy ?? 0;
  // What a thread waits for its core counts as busy; what the process used does not.
  const isKept = cpu < threads.reduce((sum, thread) => sum + thread.busy, 0) / 2;
  if (busy > BUSY_MAX && isKept) {
    found.push(`the generator was the bottleneck: others on its machine kept it waiting for a core (${cpu.toFixed(2)} cores of work took thread ${busiest + 1} ${percent(busy)} of the time). Use a quieter machine`);
  } else if (busy > BUSY_MAX) {
    found.push(`the generator was the bottleneck: thread ${busiest + 1} of ${threads.length} was busy ${percent(busy)} of the time. Use more --threads, fewer clients, or another machine`);
  } // prettier-ignore
  const late = threads.reduce((most, { loopDelayMs }) => Math.max(most, loopDelayMs), 0);
  if (isOpen && lateP99 > LATE_MAX_MS) {
    found.push(`the generator was the bottleneck: 1 % of the edits left ${lateP99.toFixed(1)} ms late or more, which is in every latency. Its machine is too busy, with this or with other things: use a quieter one, or a lower --rate`); // prettier-ignore
  } else if (late > LOOP_DELAY_MAX_MS) {
    found.push(
      `the generator was held up for ${Math.round(late)} ms once: the highest latencies are its own`,
    );
  }
  const used = cpu + (serverCpu ?? 0);
  if (used > MACHINE_MAX * cores) {
    const who = serverCpu === null ? `the generator used ${cpu.toFixed(1)}` : `generator (${cpu.toFixed(1)}) and server (${serverCpu.toFixed(1)}) used ${used.toFixed(1)}`; // prettier-ignore
    found.push(`the machine was full: ${who} of its ${cores} cores, the database not counted. Run the load from another machine`); // prettier-ignore
  }
  if (strain.unsent > 0) {
    found.push(`${strain.unsent} edits or visits that were due were not made, since too many before them had no answer: the rate is beyond what the server takes, and the latencies are lower than they would be`); // prettier-ignore
  }
  return found;
}
