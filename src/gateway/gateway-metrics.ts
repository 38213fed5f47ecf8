/**
 * What the gateway counts; merged with the shards' counts at /metrics. Names by Prometheus' rules, bounded labels. The table
 * of all metrics is in docs/operations.md.
 */
import { Registry } from 'prom-client';
import { measureEventLoopDelay } from '../base/event-loop-delay.ts';
import { gauge, keptCounter, oncePerScrape } from '../base/gauges.ts';
import { measureProcess } from '../base/process-metrics.ts';
import { durations } from '../base/spread.ts';
import { Tally, TallyBy } from '../base/tally.ts';
import type { Millis } from '../base/time.ts';
import { CLOSE, type CloseName, CODES, type Code } from '../protocol/codes.ts';
import type { BatchTimes } from '../workers/envelope.ts';
import { hopTimes } from '../workers/hop-times.ts';

export interface GatewayGauges {
  readonly sockets: number;
  readonly paused: number;
  /** Bytes held for all sockets. */
  readonly unread: number;
  /** For the one with most of them. */
  readonly most: number;
}

export interface GatewayMetrics {
  readonly registry: Registry;
  /** Plain fields: the hot path adds to them, a scrape reads them. */
  readonly hot: { framesIn: number; bytesIn: number; framesOut: number; published: number };
  /** A handshake was answered so. */
  handshake(status: number): void;
  opened(): void;
  /** The code of its close frame, as the transport tells it. */
  gone(code: number): void;
  refused(code: Code): void;
  closed(reason: CloseName): void;
  readonly slow: { paused(): void; resumed(): void };
  /** All that a shard's batch brought has gone out. */
  batchDone(times: BatchTimes, now: Millis): void;
}

const HANDSHAKES = ['101', '400', '403', '404', '500', '503'] as const;
const NO_CLOSE_FRAME = 1006;

/** `read` is asked at each scrape. */
export function createGatewayMetrics(read: () => GatewayGauges): GatewayMetrics {
  const registry = new Registry();
  const tally = (name: string, help: string) => new Tally(registry, name, help);
  const by = <K extends string>(name: string, help: string, label: string, keys: readonly K[]) =>
    new TallyBy(registry, name, help, label, keys);
  measureProcess(registry);
  measureEventLoopDelay(registry, 'main');
  socketGauges(registry, read);
  const handshakes = by('octavo_handshakes_total', 'Handshakes of sockets, by the status they were answered with; 101 is a socket', 'status', HANDSHAKES); // prettier-ignore
  const opened = tally('octavo_sockets_opened_total', 'Sockets that were opened');
  const gone = by('octavo_sockets_closed_total', 'Sockets that are gone: closed by one side, or lost without a word', 'how', ['closed', 'lost']); // prettier-ignore
  const refusals = by('octavo_refusals_total', 'Refused by the gateway, by code', 'code', Object.keys(CODES) as Code[]); // prettier-ignore
  const closes = by('octavo_closes_total', 'Sockets closed by the gateway, by reason', 'reason', Object.keys(CLOSE) as CloseName[]); // prettier-ignore
  const slow = by('octavo_slow_readers_total', 'Sockets taken off their pages because they read too slowly, and put back', 'event', ['paused', 'resumed']); // prettier-ignore
  const back = hopTimes(registry)('shard_to_gateway');
  const propagation = durations(registry, 'octavo_propagation_seconds', 'From receipt of a change by its shard to its broadcast: of each batch the change that waited longest'); // prettier-ignore
  return {
    registry,
    hot: hotCounters(registry),
    handshake(status) {
      const known = HANDSHAKES.find((one) => one === String(status));
      if (known) handshakes.add(known);
    },
    opened: () => opened.add(),
    gone: (code) => gone.add(code === NO_CLOSE_FRAME ? 'lost' : 'closed'),
    refused: (code) => refusals.add(code),
    closed: (reason) => closes.add(reason),
    slow: { paused: () => slow.add('paused'), resumed: () => slow.add('resumed') },
    batchDone({ at, since }, now) {
      back(now - at);
      if (since !== Infinity) propagation.add(now - since);
    },
  };
}

function socketGauges(registry: Registry, read: () => GatewayGauges): void {
  const state = oncePerScrape(read);
  const of = (name: string, help: string, field: keyof GatewayGauges) =>
    gauge(registry, name, help, () => state()[field]);
  of('octavo_sockets', 'Open sockets', 'sockets');
  of('octavo_sockets_paused', 'Sockets that read too slowly to follow their pages', 'paused');
  of('octavo_unread_bytes', 'Bytes held for sockets that have not read them', 'unread');
  of('octavo_unread_bytes_most', 'Bytes held for the one socket with most of them', 'most');
}

function hotCounters(registry: Registry): GatewayMetrics['hot'] {
  const hot = { framesIn: 0, bytesIn: 0, framesOut: 0, published: 0 };
  const counter = (name: string, help: string, field: keyof typeof hot) =>
    keptCounter(registry, name, help, () => hot[field]);
  counter('octavo_frames_received_total', 'Frames from clients', 'framesIn');
  counter('octavo_bytes_received_total', 'Bytes of them', 'bytesIn');
  counter('octavo_frames_sent_total', 'Frames sent to single sockets', 'framesOut');
  counter('octavo_frames_published_total', 'Frames published to pages', 'published');
  return hot;
}
