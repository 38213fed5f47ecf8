/**
 * A shard's stream to the gateway, with an eye on what ends the traced. Spans go behind what they are of, so the gateway
 * knows what is told when it reads them.
 */
import type { PageId } from '../protocol/ids.ts';
import { readCh } from './number-records.ts';
import { ShardOut } from './shard-out.ts';
import type { ShardOptions } from './shard-options.ts';
import type { ShardTraces } from './shard-traces.ts';

/** A shard's way out: as it is where nothing is traced. */
export function openShardOut(options: ShardOptions): ShardOut {
  const { traces, clock } = options;
  const emit = (batch: Uint8Array) => options.emit(batch);
  return traces ? new TracedOut(traces, clock, emit) : new ShardOut(clock, emit);
}

class TracedOut extends ShardOut {
  readonly #traces: ShardTraces;

  constructor(traces: ShardTraces, ...given: ConstructorParameters<typeof ShardOut>) {
    super(...given);
    this.#traces = traces;
  }

  override flush(): void {
    const spans = this.#traces.take();
    if (spans.length > 0) this.spans(spans);
    super.flush();
  }

  override send(connection: number, frame: Uint8Array): void {
    super.send(connection, frame);
    this.#traces.sent(connection, frame);
  }

  override sendBulk(connection: number, frame: Uint8Array): void {
    super.sendBulk(connection, frame);
    if (this.#traces.joins.size > 0) this.#traces.joins.bulk(connection, frame);
  }

  override offerBulk(connection: number, ch: number): void {
    super.offerBulk(connection, ch);
    this.#traces.joins.offered(connection, ch);
  }

  override pulled(connection: number, ch: Uint8Array): void {
    super.pulled(connection, ch);
    this.#traces.joins.pulled(connection, readCh(ch));
  }

  override publish(page: PageId, frame: Uint8Array): void {
    super.publish(page, frame);
    if (this.#traces.changes.size > 0) this.#traces.changes.published(page);
  }

  override join(connection: number, page: PageId): void {
    super.join(connection, page);
    if (this.#traces.joins.size > 0) this.#traces.joins.joined(connection, page);
  }

  override forget(connection: number, ch: number): void {
    super.forget(connection, ch);
    this.#traces.joins.forgotten(connection, ch);
  }
}
