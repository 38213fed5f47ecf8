/**
 * What a joiner is sent: the cached snapshot in parts where it needs one (packed once, for all joiners), then the
 * changes after it. All of it goes into the shard's stream at once, so nothing can come between tail and live.
 */
import { encodeServerMessage } from '../protocol/encode.ts';
import type { PageId, Seq } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { ENCODING } from '../protocol/messages.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { changesFrames } from './recent-log.ts';
import type { ActorWorld, CachedSnapshot, Subscriber } from './world.ts';

export interface CatchUp {
  readonly snapshot: CachedSnapshot | null;
  readonly after: Seq;
  readonly entries: LogEntry[];
}

export function sendCatchUp(
  world: ActorWorld,
  page: PageId,
  { connection, ch }: Subscriber,
  catchUp: CatchUp,
): void {
  const { snapshot, entries } = catchUp;
  world.counts.join(snapshot ? 'snapshot' : 'tail');
  if (snapshot) {
    const { seq, body } = snapshot;
    const parts = Math.max(1, Math.ceil(body.length / WIRE.snapshotPartBytes));
    for (let part = 0; part < parts; part++) {
      const bytes = body.subarray(part * WIRE.snapshotPartBytes, (part + 1) * WIRE.snapshotPartBytes);
      const encoding = ENCODING.zlib;
      world.sendBulk(
        connection,
        encodeServerMessage({ kind: 'snapshot', ch, seq, encoding, part, parts, bytes }),
      );
    }
  }
  for (const frame of changesFrames(page, entries)) world.sendBulk(connection, frame);
}
