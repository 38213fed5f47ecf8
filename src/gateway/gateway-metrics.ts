/**
 * What the gateway counts; merged with the shards' counts at /metrics. Names by Prometheus' rules, bounded labels.
 */
import { measureEventLoopDelay } from '../base/event-loop-delay.ts';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

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
  refused(code: string): void;
  closed(reason: string): void;
  readonly slow: { paused(): void; resumed(): void };
}

/** `gauges` is asked at each scrape. */
export function createGatewayMetrics(gauges: () => GatewayGauges): GatewayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  measureEventLoopDelay(registry, 'main');
  const hot = { framesIn: 0, bytesIn: 0, framesOut: 0, published: 0 };
  const gauge = (name: string, help: string, read: (now: GatewayGauges) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(gauges()));
      },
    });
  gauge('octavo_sockets', 'Open sockets', ({ sockets }) => sockets);
  gauge(
    'octavo_sockets_paused',
    'Sockets that read too slowly to follow their pages',
    ({ paused }) => paused,
  );
  gauge('octavo_unread_bytes', 'Bytes held for sockets that have not read them', ({ unread }) => unread);
  gauge('octavo_unread_bytes_most', 'Bytes held for the one socket with most of them', ({ most }) => most);
  const hotCounter = (name: string, help: string, field: keyof typeof hot) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.inc(hot[field]);
        hot[field] = 0;
      },
    });
  hotCounter('octavo_frames_received_total', 'Frames from clients', 'framesIn');
  hotCounter('octavo_bytes_received_total', 'Bytes of them', 'bytesIn');
  hotCounter('octavo_frames_sent_total', 'Frames sent to single sockets', 'framesOut');
  hotCounter('octavo_frames_published_total', 'Frames published to pages', 'published');
  const refusals = new Counter({
    name: 'octavo_refusals_total',
    help: 'Refused by the gateway, by code',
    labelNames: ['code'],
    registers,
  });
  const closes = new Counter({
    name: 'octavo_closes_total',
    help: 'Sockets closed by the gateway, by reason',
    labelNames: ['reason'],
    registers,
  });
  const slow = new Counter({
    name: 'octavo_slow_readers_total',
    help: 'Sockets taken off their pages because they read too slowly, and put back',
    labelNames: ['event'],
    registers,
  });
  return {
    registry,
    hot,
    slow: { paused: () => slow.inc({ event: 'paused' }), resumed: () => slow.inc({ event: 'resumed' }) },
    refused: (code) => refusals.inc({ code }),
    closed: (reason) => closes.inc({ reason }),
  };
}
