/**
 * How a run of `octavo chaos` is judged as a whole, and how that reads.
 */
import { expect, test } from 'vitest';
import { COUNTS } from './judge.ts';
import { type ChaosResult, hasSucceeded, resultTable } from './result.ts';

const GOOD: ChaosResult = {
  seed: 7,
  command: 'octavo chaos --seed 7',
  acknowledged: 100,
  made: 101,
  logged: 100,
  lost: 0,
  doubled: 0,
  diverged: 0,
  gaps: 0,
  seenThenGone: 0,
  agreeMs: 90,
  agreeMsByRound: [20, 90],
  failoverMs: { p50: 200, p95: 400, samples: 12 },
  nodeKills: 3,
  faults: { 'kill node': 3 },
  refused: { missing: 1 },
  unexpectedEnds: [],
  seconds: 60,
  findings: [],
  evidence: null,
};

test('a run is good when nothing is counted and all agreed', () => {
  expect(hasSucceeded(GOOD)).toBe(true);
  for (const count of COUNTS) expect(hasSucceeded({ ...GOOD, [count]: 1 })).toBe(false);
  expect(hasSucceeded({ ...GOOD, agreeMs: null })).toBe(false);
});

test('the table tells the counts, the seed, the command that repeats it, and what was found', () => {
  const good = resultTable(GOOD);
  for (const part of ['acknowledged', 'seenThenGone', '90 ms', 'p95 400 ms', 'Nothing was lost.', 'Seed 7. Again: octavo chaos --seed 7']) expect(good).toContain(part); // prettier-ignore
  const bad = resultTable({ ...GOOD, lost: 2, findings: ['lost: page x'], evidence: '/somewhere' });
  for (const part of ['Something was lost', 'lost: page x', 'kept in /somewhere'])
    expect(bad).toContain(part);
  expect(resultTable({ ...GOOD, agreeMs: null, agreeMsByRound: [null] })).toContain('not all agreed');
});
