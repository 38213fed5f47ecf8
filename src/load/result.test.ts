/** What is made of a result: table, report, comparison, thresholds, warnings. */
import { expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { type Strain, bottlenecks } from './bottleneck.ts';
import { linearTicks, logTicks } from './charts.ts';
import { comparisonText } from './compare.ts';
import { reportPage } from './html.ts';
import { Latency } from './latency.ts';
import { type LoadResult, RESULT_FORMAT } from './result.ts';
import { parseMetrics } from './server-metrics.ts';
import { number, resultText } from './table.ts';
import { judgeThresholds, parseThreshold, type Threshold } from './thresholds.ts';

function latencyOf(ms: readonly number[]) {
  const latency = new Latency();
  latency.add(Uint32Array.from(ms.map((each) => 1000 * each)));
  return latency.summary()!;
}

const CORRECT = { pages: 1, blocks: 2, lost: 0, doubled: 0, wrong: 0, behind: 0, unsettled: 0, findings: [] };
const server = { cpu: 0.5, residentBytes: 2e8, loopDelayMs: 3, queued: 0, sockets: 9 };

function makeResult(change: Partial<LoadResult> = {}): LoadResult {
  const second = (at: number) => ({ at, made: 100, accepted: 99, seen: 300, joins: 0, latencies: { seen: { p50: 1, p99: 40 * at, max: 90 } }, live: 9, pending: 1, generatorCpu: 0.1, server: at > 2 ? server : null });
  return {
    format: RESULT_FORMAT, octavo: '0.1.0', scenario: 'typing', command: 'octavo load typing --token=… </script><b>', startedAt: '2026-01-02T03:04:05.000Z',
    seconds: 3, interrupted: false, target: 'ws://127.0.0.1:3002', load: { pages: 1 }, machine: { cpu: 'a "cpu" & more', cores: 2, memoryGiB: 4, platform: 'Linux', node: '20' },
    latencies: { accepted: latencyOf([1, 2, 3]), seen: latencyOf([1, 2, 3, 50]) }, rates: { accepted: 99, seen: 300 }, counts: { made: 300, accepted: 297, reconnects: 2 },
    refused: { rate: 3 }, closed: {}, correctness: CORRECT,
    generator: { threads: [{ clients: 9, busy: 0.2, busyMost: 0.3, loopDelayMs: 4 }], cpu: 0.2, lateP99: 0.5, lateMax: 2, warnings: [] },
    server: { cpu: 0.5, cpuMost: 0.7, residentBytesMost: 2e8, loopDelayMs: 3 }, timeline: [second(1), second(2), second(3)],
    pages: { count: 1, prefix: '10ad7e57', first: '10ad7e57-0000-8000-8000-000000000000' }, ...change,
  };
} // prettier-ignore

const threshold = (text: string) => parseThreshold(text) as Threshold;

test('latencies: quantiles in ms, and bars that add up', () => {
  const random = seededRandom(1);
  const values = Array.from({ length: 5000 }, () => 1 + (random.uint32() / 2 ** 32) ** 4 * 1000);
  const summary = latencyOf(values);
  const sorted = [...values].sort((a, b) => a - b);
  expect(summary.count).toBe(5000);
  expect(summary.bars.reduce((sum, [, , count]) => sum + count, 0)).toBe(5000);
  expect(Math.abs(summary.p99 / sorted[4949]! - 1)).toBeLessThan(0.01);
  const atMost10 = summary.bars.filter(([, to]) => to <= 10.001).reduce((sum, [, , count]) => sum + count, 0);
  expect(Math.abs(atMost10 - sorted.filter((value) => value <= 10).length)).toBeLessThanOrEqual(10);
  expect(new Latency().summary()).toBeNull();
});

test('latencies: what a late answer held up is added where it was not timed', () => {
  const latency = new Latency();
  latency.add(Uint32Array.of(1000, 100_000), 10_000);
  expect(latency.summary()!.count).toBe(11);
});

test('thresholds: figures by name, of the main latency or another one', () => {
  const result = makeResult();
  const judge = (text: string) => judgeThresholds(result, [threshold(text)])[0]!;
  expect(judge('p99<60').holds).toBe(true);
  expect(judge('p99 < 40').holds).toBe(false);
  expect(judge('accepted.max<=3.1').holds).toBe(true);
  expect(judge('rate>=99').holds).toBe(true);
  expect(judge('refused=0')).toMatchObject({ value: 3, holds: false });
  expect(judge('lost==0').holds).toBe(true);
  expect(judge('join.p50<1000')).toMatchObject({ value: undefined, holds: false });
  for (const text of ['p98<1', 'p99', 'p99<x', 'toString<1', 'seen.rate>1', 'p99X9<1']) {
    expect(parseThreshold(text), text).toHaveProperty('wrong');
  }
});

const calm: Strain = {
  threads: [{ busy: 0.3, busyMost: 0.6, loopDelayMs: 5 }],
  lateP99: 0.5, isOpen: true, cpu: 0.4, cores: 4, serverCpu: 1.2, unsent: 0,
}; // prettier-ignore

test('a generator that was the bottleneck says so', () => {
  expect(bottlenecks(calm)).toEqual([]);
  expect(bottlenecks({ ...calm, cpu: 1.2, threads: [calm.threads[0]!, { busy: 0.97, busyMost: 1, loopDelayMs: 5 }] }).join()).toMatch(/the generator was the bottleneck: thread 2 of 2 was busy 97 %/);
  expect(bottlenecks({ ...calm, cpu: 0.1, threads: [{ busy: 0.97, busyMost: 1, loopDelayMs: 5 }] }).join()).toMatch(/kept it waiting for a core \(0.10 cores of work took thread 1 97 %/);
  expect(bottlenecks({ ...calm, lateP99: 12 }).join()).toMatch(/the generator was the bottleneck: 1 % of the edits left 12.0 ms late/);
  expect(bottlenecks({ ...calm, lateP99: 12, isOpen: false })).toEqual([]);
  expect(bottlenecks({ ...calm, threads: [{ busy: 0.2, busyMost: 1, loopDelayMs: 400 }] }).join()).toMatch(/held up for 400 ms/);
  expect(bottlenecks({ ...calm, cpu: 2, serverCpu: 1.9 }).join()).toMatch(/the machine was full/);
  expect(bottlenecks({ ...calm, cpu: 2, serverCpu: null })).toEqual([]);
  expect(bottlenecks({ ...calm, unsent: 7 }).join()).toMatch(/7 edits or visits that were due were not made/);
}); // prettier-ignore

test('two results are compared with ratios, and what differs in them is said', () => {
  const a = makeResult();
  const b = makeResult({ latencies: { seen: latencyOf([2, 4, 6, 100]) }, rates: { accepted: 200 }, load: { pages: 5 }, interrupted: true });
  const text = comparisonText(a, b, ['a.json', 'b.json']);
  expect(text).toMatch(/pages: 1 and 5/);
  expect(text).toMatch(/seen p50, ms +2(\.00)? +4(\.00)? +2\.00 × +worse/);
  expect(text).toMatch(/edits durable a second +99(\.0)? +200 +2\.02 × +better/);
  expect(text).toMatch(/accepted p50, ms +2(\.00)? +— +—/);
  expect(text).toMatch(/b\.json: ended before its time/);
}); // prettier-ignore

/** Every tag is closed in order; `void` ones apart. */
function expectBalanced(html: string): void {
  const open: string[] = [];
  const body = html.replaceAll(/<(script|style)>[\s\S]*?<\/\1>/g, '').replace('<!doctype html>', '');
  for (const [tag, slash, name] of body.matchAll(/<(\/?)([a-z0-9]+)(?:\s[^<>]*)?>/g)) {
    if (slash) expect(open.pop(), tag).toBe(name);
    else if (!tag.endsWith('/>') && name !== 'meta') open.push(name!);
  }
  expect(open).toEqual([]);
  expect(body.replaceAll(/<[^<>]*>/g, '')).not.toMatch(/[<>]/);
}

test('the report is whole, and asks nobody for anything', () => {
  const judged = judgeThresholds(makeResult(), [threshold('p99<1'), threshold('lost=0')]);
  const wrong = { ...CORRECT, lost: 1, findings: ['lost: <one>'] };
  const warned = { ...makeResult().generator, warnings: ['it was busy'] };
  for (const result of [
    makeResult(),
    makeResult({ correctness: wrong, interrupted: true, generator: warned }),
    makeResult({ timeline: [], latencies: {}, server: null, correctness: null, scenario: 'http' }),
  ]) {
    const html = reportPage(result, judged);
    expectBalanced(html);
    expect(html).not.toMatch(/https?:\/\/|\bsrc=|\bhref=|@import|url\(/);
    expect(html).not.toContain('</script><b>');
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  }
  const html = reportPage(makeResult(), judged);
  expect(html.match(/<svg/g)!.length).toBeGreaterThanOrEqual(7);
  expect(html).toContain('prefers-color-scheme: dark');
});

test('the table says what was lost, refused and warned of', () => {
  const wrong = { ...CORRECT, lost: 1, findings: ['lost: one'] };
  const generator = { ...makeResult().generator, warnings: ['it was busy'] };
  const text = resultText(makeResult({ correctness: wrong, generator }), [
    { text: 'p99<1', value: 50, holds: false },
  ]);
  for (const part of ['NOT CORRECT: 1 lost', 'lost: one', 'WARNING: it was busy', '3 × rate', 'FAILED  p99<1', "like '10ad7e57-%'"]) expect(text).toContain(part);
  expect(resultText(makeResult(), [])).toMatch(/all acknowledged edits are there/);
}); // prettier-ignore

test('axes: round numbers that hold all values', () => {
  expect(linearTicks(7)).toEqual([0, 2, 4, 6, 8]);
  expect(linearTicks(0)[0]).toBe(0);
  expect(logTicks(3, 40)).toEqual([2, 5, 10, 20, 50]);
  expect(logTicks(0.4, 1056)).toEqual([0.2, 1, 10, 100, 1000, 2000]);
  expect(logTicks(1, 1)).toEqual([1, 2]);
  expect([number(0), number(0.1234), number(12.34), number(1234567), number(NaN)]).toEqual(['0', '0.123', '12.3', '1,234,567', '—']); // prettier-ignore
});

test('the servers’ metrics are added up by name', () => {
  const text = 'octavo_sockets 3\noctavo_sockets_paused 9\noctavo_pages_live{shard="0"} 1\noctavo_pages_live{shard="1"} 2\nprocess_cpu_user_seconds_total 1\nprocess_cpu_system_seconds_total 0.5\n' +
    'octavo_event_loop_delay_seconds{thread="main",of="max"} 0.007\noctavo_event_loop_delay_seconds{thread="main",of="p50"} 0.07\n'; // prettier-ignore
  expect(parseMetrics(text)).toMatchObject({ sockets: 3, pages: 3, cpuSeconds: 1.5, loopDelayMs: 7 });
  expect(parseMetrics('nginx_up 1\n')).toBeUndefined();
});
