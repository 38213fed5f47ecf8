/**
 * A thread that holds clients of a load test: obeys the orders of `orders.ts`, and reports several times a second. It is ended from
 * outside.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { assertNever } from '../base/assert.ts';
import { systemClock } from '../base/time.ts';
import { LoadError } from './load-error.ts';
import type { Answer, Order, ThreadPlan } from './orders.ts';
import { Swarm } from './swarm.ts';

export interface ThreadData {
  readonly plan: ThreadPlan;
  readonly ticks: MessagePort;
}

const REPORT_EVERY_MS = 200;
const DELAY_RESOLUTION_MS = 5;

const { plan, ticks } = workerData as ThreadData;
const answer = (message: Answer) => parentPort!.postMessage(message);
const swarm = new Swarm(plan, ticks);
const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
let utilization = performance.eventLoopUtilization();

function report(): void {
  const now = performance.eventLoopUtilization();
  const { utilization: busy } = performance.eventLoopUtilization(now, utilization);
  utilization = now;
  const { tallies, live, pending } = swarm;
  const samples = tallies.takeSamples();
  const loopDelayMs = Math.max(0, delays.max / 1e6 - DELAY_RESOLUTION_MS);
  delays.reset();
  const { counts, refused, closed } = tallies;
  answer({ say: 'report', counts, refused, closed, samples, live, pending, busy, loopDelayMs });
}

function reportAgain(): void {
  systemClock.after(REPORT_EVERY_MS, () => {
    report();
    reportAgain();
  });
}

async function obey(order: Order): Promise<void> {
  switch (order.do) {
    case 'connect':
      await swarm.connect((connected) => answer({ say: 'progress', connected }));
      return answer({ say: 'connected' });
    case 'start':
      delays.enable();
      utilization = performance.eventLoopUtilization();
      swarm.start(order.measureFrom, order.measureTo);
      return reportAgain();
    case 'stop': {
      const settled = await swarm.settle(order.patienceMs);
      report();
      return answer({ say: 'settled', ...settled });
    }
    case 'look': {
      const looked = await swarm.look(order.heads, order.patienceMs);
      // What readers saw of the last edits, which their writers knew to be durable already.
      report();
      swarm.end();
      return answer({ say: 'looked', ...looked });
    }
    default:
      return assertNever(order);
  }
}

function failed(error: unknown): void {
  const isExpected = error instanceof LoadError;
  const message = error instanceof Error ? (isExpected ? error.message : (error.stack ?? error.message)) : String(error);
  answer({ say: 'failed', message, isExpected });
} // prettier-ignore

process.on('uncaughtException', failed);
parentPort!.on('message', (order: Order) => void obey(order).catch(failed));
