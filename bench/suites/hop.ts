/**
 * The hop between threads: batches of records as transferred buffers, to a worker and back, packed and read there as a
 * shard does. Throughput with a few batches on their way, and the time of one round trip alone.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { EnvelopeWriter, FROM_SHARD, readEnvelope, TO_SHARD } from '../../src/workers/envelope.ts';
import { figure, type Figure, type SuiteOptions, type SuiteResult } from '../lib/figures.ts';
import { must } from '../lib/must.ts';

const RECORD_BYTES = 90;
const BATCHES = [1, 8, 256] as const;
const UNDER_WAY = 4;

class Echo {
  readonly #worker = new Worker(new URL('./hop-worker.js', import.meta.url));
  #records = 0;
  #sum = 0;
  onBatch: () => void = () => {};

  constructor() {
    this.#worker.on('message', (batch: Uint8Array) => {
      readEnvelope(batch, (type, connection, bytes) => {
        this.#records += type === FROM_SHARD.send ? 1 : 0;
        this.#sum += connection + bytes[0]!;
      });
      this.onBatch();
    });
  }

  get records(): number {
    return this.#records;
  }

  /** Connection ids and first bytes added up: what came back is what went. */
  get sum(): number {
    return this.#sum;
  }

  post(batch: Uint8Array): void {
    this.#worker.postMessage(batch, [batch.buffer as ArrayBuffer]);
  }

  async stop(): Promise<void> {
    const exit = once(this.#worker, 'exit');
    void this.#worker.terminate();
    await exit;
  }
}

const record = new Uint8Array(RECORD_BYTES).fill(7);

function batchOf(size: number): Uint8Array {
  const writer = new EnvelopeWriter();
  for (let i = 0; i < size; i++) writer.add(TO_SHARD.frame, i, record);
  return writer.take();
}

/** Keeps `underWay` batches on their way for about `ms`; returns records each second and µs a batch. */
async function round(echo: Echo, size: number, underWay: number, ms: number): Promise<[number, number]> {
  const recordsBefore = echo.records;
  const sumBefore = echo.sum;
  const from = performance.now();
  let posted = 0;
  let back = 0;
  await new Promise<void>((resolve) => {
    const post = () => {
      posted++;
      echo.post(batchOf(size));
    };
    echo.onBatch = () => {
      back++;
      if (performance.now() - from < ms) post();
      else if (back === posted) resolve();
    };
    for (let i = 0; i < underWay; i++) post();
  });
  const spent = performance.now() - from;
  const records = echo.records - recordsBefore;
  must(records === posted * size, 'every record comes back');
  must(echo.sum - sumBefore === posted * ((size * (size - 1)) / 2 + 7 * size), 'records come back as they went');
  return [(records * 1000) / spent, (spent * 1000) / back];
} // prettier-ignore

export async function hop(options: SuiteOptions): Promise<SuiteResult> {
  const echo = new Echo();
  const figures: Figure[] = [];
  const ms = (options.seconds * 1000) / options.rounds / 2;
  try {
    for (const size of BATCHES) {
      await round(echo, size, UNDER_WAY, 200);
      const rates: number[] = [];
      const trips: number[] = [];
      for (let i = 0; i < options.rounds; i++) {
        rates.push((await round(echo, size, UNDER_WAY, ms))[0]);
        trips.push((await round(echo, size, 1, ms))[1]);
      }
      figures.push(figure(`batches of ${size}: there and back`, 'records/s', 'higher', rates));
      figures.push(figure(`batches of ${size}: one round trip`, 'µs', 'lower', trips));
    }
  } finally {
    await echo.stop();
  }
  const settings = { records: `${RECORD_BYTES} bytes`, 'under way': `${UNDER_WAY} batches; 1 for the round trip` };
  return { suite: 'hop', settings, figures, notes: [] };
} // prettier-ignore
