/** The books of a run: lines by the second, sums in the end. */
import { expect, test } from 'vitest';
import { Ledger } from './ledger.ts';
import type { Report } from './orders.ts';
import type { ServerSample } from './server-metrics.ts';
import { noCounts } from './tallies.ts';

const NONE = new Uint32Array(0);

function report(change: Partial<Report['counts']>, seen: number[] = []): Report {
  const samples = { accepted: NONE, seen: Uint32Array.from(seen), join: NONE, presence: NONE, late: NONE };
  return { say: 'report', counts: { ...noCounts(), ...change }, refused: { rate: 2 }, closed: {}, samples, live: 3, pending: 1, busy: 0.5, loopDelayMs: 4 };
} // prettier-ignore

const look = (at: number, cpuSeconds: number) => {
  const sample: ServerSample = { cpuSeconds, residentBytes: 1e8, sockets: 3, pages: 1, committed: 0, queued: 0, rejects: 0, loopDelayMs: 1 };
  return { at, sample };
}; // prettier-ignore

test('reports of all threads add up, and lines are what came since the last one', () => {
  const ledger = new Ledger(2);
  ledger.measure(true);
  ledger.report(0, report({ durable: 10 }, [1000, 3000]));
  ledger.report(1, report({ durable: 5 }));
  expect(ledger.closeLine(1, 1, 0.1, null)).toMatchObject({
    accepted: 15,
    live: 6,
    pending: 2,
    server: null,
  });
  ledger.report(0, report({ durable: 30 }, [9000]));
  const line = ledger.closeLine(3, 2, 0.1, null);
  expect(line.accepted).toBe(10);
  expect(line.latencies.seen!.max).toBeCloseTo(9, 1);
  expect(ledger.latencies.seen.summary()!.count).toBe(3);
  expect(ledger.refused).toEqual({ rate: 4 });
  expect(ledger.threads([7, 8])).toMatchObject([
    { clients: 7, busy: 0.5 },
    { clients: 8, busy: 0.5 },
  ]);
  expect(ledger.server).toBeNull();
});

test('a server that was started anew does not give CPU back', () => {
  const ledger = new Ledger(1);
  const lines = [look(0, 10), look(1, 10.5), null, look(3, 11), look(4, 0.2), look(5, 1.2)].map((server, i) => ledger.closeLine(i + 1, 1, 0, server));
  expect(lines.map(({ server }) => server?.cpu)).toEqual([undefined, 0.5, undefined, 0.25, undefined, 1]);
  expect(ledger.server).toMatchObject({ cpu: 0.5, cpuMost: 1 });
}); // prettier-ignore
