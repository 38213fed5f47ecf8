/**
 * Traces in their parts: what is drawn, what is read from headers and variables, what is sent, and what an exporter does
 * when nobody takes it.
 */
import { afterEach, expect, test } from 'vitest';
import { FakeClock } from '../../test/support/client-stage.ts';
import { type Collector, startCollector } from '../../test/support/collector.ts';
import { freePort } from '../../test/support/free-port.ts';
import { until } from '../../test/support/wait.ts';
import type { Log } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { readConfig } from '../config.ts';
import { type DatedSpan, encodeOtlp } from './otlp-json.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { Sampler, TRACES_PER_SECOND_MAX } from './sampler.ts';
import { parseTraceparent } from './span.ts';

const random = seededRandom(4);
const AT = 1_700_000_000_000;
const spans = (count: number): DatedSpan[] =>
  Array.from({ length: count }, (_, i) => ({
    traceId: '0af7651916cd43dd8448eb211c80319c', spanId: i.toString(16).padStart(16, '0'), parentId: null,
    name: 'change', kind: 'server', start: AT + 0.25, end: AT + 1.5, attributes: {},
  })); // prettier-ignore

let collector: Collector | undefined;

afterEach(async () => {
  await collector?.close();
  collector = undefined;
});

function exporting(url: string) {
  const clock = new FakeClock();
  const counts = { exported: 0, dropped: {} as Record<string, number> };
  const said: string[] = [];
  const log: Log = { debug() {}, info: (_, message) => void said.push(message), warn: (fields, message) => void said.push(`${Object.values(fields)} ${message}`), error() {} };
  const exporter = new OtlpExporter({
    url, headers: {}, encode: (batch) => encodeOtlp({}, '1', batch), clock, random, log,
    counts: { exported: (n) => void (counts.exported += n), dropped: (n, why) => void (counts.dropped[why] = (counts.dropped[why] ?? 0) + n) },
  });
  return { clock, counts, said, exporter };
} // prettier-ignore

test('G144 the share that is asked for is drawn, and no more than so many a second', async () => {
  const clock = new FakeClock();
  const drawn = (ratio: number, of: number) => {
    const sampler = new Sampler(random, clock, ratio);
    let count = 0;
    for (let i = 0; i < of; i++) if (sampler.next()) count++;
    return count;
  };
  expect(drawn(0, 10_000)).toBe(0);
  expect(drawn(1, 50)).toBe(50);
  expect(drawn(1, 10_000)).toBe(TRACES_PER_SECOND_MAX);
  expect(drawn(0.01, 10_000)).toBeGreaterThan(60);
  expect(drawn(0.01, 10_000)).toBeLessThan(140);
  expect(drawn(0.5, 200)).toBeGreaterThan(70);
  const all = new Sampler(random, clock, 1);
  for (let i = 0; i < 1000; i++) all.next();
  expect(all.next()).toBe(false);
  await clock.advance(1000);
  expect(all.next()).toBe(true);
});

test('G144 the standard variables say where to and how much; what is wrong names itself, and no secret', () => {
  const read = (env: Record<string, string>) => readConfig(env).tracing;
  expect(read({ OTEL_TRACES_SAMPLER_ARG: '1', OTEL_SERVICE_NAME: 'x' })).toBe(null);
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  expect(read(endpoint)).toEqual({ url: 'http://collector:4318/v1/traces', headers: {}, ratio: 0.01, service: 'octavo' });
  expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c.example/otlp/', OTEL_EXPORTER_OTLP_HEADERS: 'Api-Key=a%20b, x=1=2', OTEL_TRACES_SAMPLER_ARG: '0.5', OTEL_SERVICE_NAME: 'sync' }))
    .toEqual({ url: 'https://c.example/otlp/v1/traces', headers: { 'api-key': 'a b', x: '1=2' }, ratio: 0.5, service: 'sync' });
  for (const [name, value] of [['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'], ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://me:hidden@c'], ['OTEL_TRACES_SAMPLER_ARG', '2'], ['OTEL_TRACES_SAMPLER_ARG', 'all'], ['OTEL_EXPORTER_OTLP_HEADERS', 'hidden'], ['OTEL_EXPORTER_OTLP_HEADERS', 'a b=hidden'], ['OTEL_EXPORTER_OTLP_HEADERS', 'a=hidden%0d%0ab'], ['OTEL_EXPORTER_OTLP_HEADERS', 'a=hidden%']]) {
    expect(() => read({ [name!]: value! })).toThrow(name);
    expect(() => read({ [name!]: value! })).not.toThrow('hidden');
  }
}); // prettier-ignore

test('G146 a traceparent is read as W3C has it, or not at all', () => {
  const [trace, parent] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
  expect(parseTraceparent(`00-${trace}-${parent}-01`)).toEqual({ traceId: trace, spanId: parent, sampled: true });
  expect(parseTraceparent(`00-${trace}-${parent}-00`)?.sampled).toBe(false);
  expect(parseTraceparent(`01-${trace}-${parent}-03-more`)?.sampled).toBe(true);
  const wrong = ['', 'x', `00-${trace}-${parent}-01-more`, `ff-${trace}-${parent}-01`, `00-${'0'.repeat(32)}-${parent}-01`, `00-${trace}-${'0'.repeat(16)}-01`, `00-${trace.toUpperCase()}-${parent}-01`, `00-${trace}-${parent}-1`, ` 00-${trace}-${parent}-01`];
  expect(wrong.map(parseTraceparent)).toEqual(wrong.map(() => undefined));
}); // prettier-ignore

test('G145 a span has OTLP’s JSON form', () => {
  const [first] = spans(1);
  const { traceId, spanId } = first!;
  const attributes = { text: 'a', count: 3, share: 0.5, yes: true };
  const whole = { ...first!, parentId: spanId, kind: 'client' as const, attributes, links: [{ traceId, spanId }], failed: 'busy' };
  expect(JSON.parse(encodeOtlp({ 'service.name': 'x' }, '1.2', [whole]))).toEqual({
    resourceSpans: [{
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'x' } }] },
      scopeSpans: [{
        scope: { name: 'octavo', version: '1.2' },
        spans: [{
          traceId, spanId, parentSpanId: spanId, name: 'change', kind: 3, flags: 1,
          startTimeUnixNano: '1700000000000250000', endTimeUnixNano: '1700000000001500000',
          attributes: [{ key: 'text', value: { stringValue: 'a' } }, { key: 'count', value: { intValue: '3' } }, { key: 'share', value: { doubleValue: 0.5 } }, { key: 'yes', value: { boolValue: true } }],
          links: [{ traceId, spanId }],
          status: { code: 2, message: 'busy' },
        }],
      }],
    }],
  });
}); // prettier-ignore

test('G147 a collector that is away is asked ever more rarely; what does not fit meanwhile is dropped and counted; it is told once', async () => {
  collector = await startCollector();
  collector.status = 503;
  const { clock, counts, said, exporter } = exporting(`${collector.url}/v1/traces`);
  const answered = (requests: number) => until(() => collector!.requests === requests, () => `${requests} requests`);
  exporter.add(spans(512));
  await answered(1);
  exporter.add(spans(5000));
  expect(counts.dropped).toEqual({ full: 5000 - 4096 });
  // 1, 2, 4, 8 s, each drawn from its upper half.
  for (const [i, longest] of [1000, 2000, 4000, 8000].entries()) {
    await until(async () => (await clock.advance(0), clock.pending > 0), () => 'the next attempt to be set');
    await clock.advance(longest / 2 - 1);
    expect(collector.requests).toBe(i + 1);
    await clock.advance(longest / 2 + 1);
    await answered(i + 2);
  }
  // The batch is given up, the next is sent: it is taken, and so are the others.
  collector.status = 200;
  await until(() => counts.dropped['unreachable'] === 512, () => 'the first batch to be given up');
  await until(async () => (await clock.advance(1000), counts.exported === 4096), () => 'the rest to be taken');
  expect(said).toEqual(['the collector answers 503 traces cannot be exported: they are dropped until they can', 'traces are exported again']);
  collector.status = 400;
  exporter.add(spans(600));
  await until(async () => (await clock.advance(1000), counts.dropped['refused'] === 600), () => 'those that are refused for good');
  await exporter.close(1000);
}); // prettier-ignore

test('G147 nobody there, and one that never answers: a stop waits no longer than it was told', async () => {
  collector = await startCollector();
  collector.status = null;
  const hanging = exporting(`${collector.url}/v1/traces`);
  hanging.exporter.add(spans(600));
  await until(() => collector!.requests === 1, () => 'a request');
  const closed = hanging.exporter.close(500);
  await hanging.clock.advance(500);
  await closed;
  expect(hanging.counts).toEqual({ exported: 0, dropped: { stopped: 600 } });
  hanging.exporter.add(spans(3));
  expect(hanging.counts.dropped).toEqual({ stopped: 603 });

  const away = exporting(`http://127.0.0.1:${await freePort()}/v1/traces`);
  away.exporter.add(spans(600));
  await until(() => away.said.length > 0, () => 'a warning');
  expect(away.said).toEqual(['ECONNREFUSED traces cannot be exported: they are dropped until they can']);
  // No clock moves: it does not wait at all.
  await away.exporter.close(500);
  expect(away.counts).toEqual({ exported: 0, dropped: { unreachable: 512, stopped: 88 } });

  await collector.close();
  collector = await startCollector();
  const good = exporting(`${collector.url}/v1/traces`);
  good.exporter.add(spans(700));
  await good.exporter.close(500);
  expect(good.counts).toEqual({ exported: 700, dropped: {} });
  expect(collector.spans).toHaveLength(700);
}); // prettier-ignore
