/**
 * What the gateway counts; merged with the shards' counts at /metrics. Names by Prometheus' rules, bounded labels.
 */
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

export interface GatewayMetrics {
  readonly registry: Registry;
  /** Plain fields: the hot path adds to them, a scrape reads them. */
  readonly hot: { framesIn: number; bytesIn: number; framesOut: number; published: number };
  refused(code: string): void;
  closed(reason: string): void;
}

export function createGatewayMetrics(sockets: () => number): GatewayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const hot = { framesIn: 0, bytesIn: 0, framesOut: 0, published: 0 };
  new Gauge({
    name: 'octavo_sockets',
    help: 'Open sockets',
    registers,
    collect() {
      this.set(sockets());
    },
  });
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
  return {
    registry,
    hot,
    refused: (code) => refusals.inc({ code }),
    closed: (reason) => closes.inc({ reason }),
  };
}
