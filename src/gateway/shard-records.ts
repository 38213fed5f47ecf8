/**
 * What the shards' streams bring for one socket, record by record in their order: answers, bulk, and the instructions to
 * follow a page, to leave it, and to forget it.
 */
import type { Millis } from '../base/time.ts';
import { bytesToId, type PageId, type ShardIndex } from '../protocol/ids.ts';
import { FROM_SHARD } from '../workers/envelope.ts';
import { readCh } from '../workers/number-records.ts';
import type { Connection } from './connection.ts';
import type { Replies } from './replies.ts';
import type { SlowReaders } from './slow-readers.ts';

export class ShardRecords {
  readonly #replies: Replies;
  readonly #slow: SlowReaders;

  constructor(replies: Replies, slow: SlowReaders) {
    this.#replies = replies;
    this.#slow = slow;
  }

  forOne(connection: Connection, type: number, bytes: Uint8Array): void {
    if (connection.state.tag === 'closed') return;
    switch (type) {
      case FROM_SHARD.send:
        return this.#replies.answer(connection, bytes);
      case FROM_SHARD.bulk:
        return this.#replies.bulk(connection, bytes);
      case FROM_SHARD.offer:
        connection.outbox.offer(readCh(bytes));
        return this.#replies.look(connection);
      case FROM_SHARD.pulled:
        return connection.outbox.pulled(readCh(bytes));
      case FROM_SHARD.join:
        return this.#slow.join(connection, bytesToId<PageId>(bytes));
      case FROM_SHARD.leave:
        return connection.socket.leave(bytesToId<PageId>(bytes));
      case FROM_SHARD.forget:
        connection.closePage(readCh(bytes));
        return;
    }
  }

  shardLost(connection: Connection, shard: ShardIndex, retryMs: Millis): void {
    for (const { ch, page, shard: own } of connection.pages) {
      if (own !== shard) continue;
      connection.closePage(ch);
      connection.outbox.forget(ch);
      connection.socket.leave(page);
      this.#replies.error(connection, 'unavailable', 'the page’s shard was started anew', ch, retryMs);
    }
  }
}
