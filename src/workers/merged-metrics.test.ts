/**
 * The sums over threads: what a shard has counted stays in them when it dies, starts anew, or does not answer.
 */
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { gauge } from '../base/gauges.ts';
import { Spread } from '../base/spread.ts';
import { Tally, TallyBy } from '../base/tally.ts';
import { MergedMetrics, type MetricList } from './merged-metrics.ts';

function shard() {
  const registry = new Registry();
  const edits = new Tally(registry, 'edits_total', 'edits');
  const codes = new TallyBy(registry, 'codes_total', 'codes', 'code', ['a', 'b']);
  const times = new Spread(registry, 'times_seconds', 'times', { bounds: [10, 100], scale: 1000 });
  gauge(registry, 'pages', 'pages', () => 1);
  const answer = async () => (await registry.getMetricsAsJSON()) as unknown as MetricList;
  return { edits, codes, times, answer };
}

const samples = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test('G131 counters of several threads are one sum, and all series are there before anything has happened', async () => {
  const [a, b] = [shard(), shard()];
  const merged = new MergedMetrics();
  const fresh = samples(await merge());
  expect(fresh).toContain('codes_total{code="a"} 0');
  expect(fresh).toContain('times_seconds_bucket{le="0.01"} 0');
  a.edits.add(2);
  b.edits.add();
  b.codes.add('b', 3);
  for (const ms of [5, 10, 11, 1000]) a.times.add(ms);
  expect(samples(await merge())).toEqual([
    'edits_total 3',
    'codes_total{code="a"} 0',
    'codes_total{code="b"} 3',
    'times_seconds_bucket{le="0.01"} 2',
    'times_seconds_bucket{le="0.1"} 3',
    'times_seconds_bucket{le="+Inf"} 4',
    'times_seconds_sum 1.026',
    'times_seconds_count 4',
    'pages 2',
  ]);

  async function merge(): Promise<string> {
    return merged.merge([], [await a.answer(), await b.answer()]);
  }
});

test('G131 no counter goes down when a shard dies or does not answer; its gauges are gone', async () => {
  const [a, ...lives] = [shard(), shard(), shard(), shard()];
  const merged = new MergedMetrics();
  const told = async (b: MetricList | undefined) => samples(await merged.merge([], [await a!.answer(), b]));
  a!.edits.add();
  let expected = 1;
  for (const life of lives) {
    life.edits.add(10);
    life.times.add(1);
    expected += 10;
    expect(await told(await life.answer())).toContain(`edits_total ${expected}`);
    const silent = await told(undefined);
    expect(silent).toContain(`edits_total ${expected}`);
    expect(silent).toContain('pages 1');
    merged.ended(1);
    expect(await told(undefined)).toContain(`edits_total ${expected}`);
  }
  expect(await told(await shard().answer())).toContain('times_seconds_count 3');
});
