/**
 * One writer on a shard of its own, by records as the gateway sends them; with all that the shard tells.
 */
import { silentLog } from '../../src/base/log.ts';
import type { Random } from '../../src/base/random.ts';
import { systemClock } from '../../src/base/time.ts';
import { encodeOps, type OpDraft } from '../../src/document/ops.ts';
import type { LogStore } from '../../src/persistence/log-store.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { encodeClientMessage } from '../../src/protocol/encode.ts';
import {
  type BlockId,
  type EpochId,
  newId,
  type PageId,
  type ReplicaId,
  type Seq,
  type UserId,
} from '../../src/protocol/ids.ts';
import { defaultLimits } from '../../src/protocol/limits.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { EnvelopeWriter, FROM_SHARD, readEnvelope, TO_SHARD } from '../../src/workers/envelope.ts';
import { writeSubscribeHead } from '../../src/workers/records.ts';
import { Shard } from '../../src/workers/shard.ts';
import type { ShardOptions } from '../../src/workers/shard-options.ts';

/** One writer on a shard of its own. */
export async function startWriter(
  store: LogStore,
  random: Random,
  page: PageId,
  user: string,
  more: Partial<ShardOptions> = {},
) {
  const replica = newId<ReplicaId>(Date.now(), random);
  const told: number[] = [];
  const heard: ServerMessage[] = [];
  const limits = { ...defaultLimits, pageChangesPerSecond: 1_000_000 };
  const shard = new Shard({
    store,
    limits,
    random,
    clock: systemClock,
    log: silentLog,
    evictIdleMs: 60_000,
    memoryBytesMax: 1 << 26,
    commitStallMs: 60_000,
    headPollMs: 0,
    openBus: null,
    ...more,
    emit: (batch) =>
      readEnvelope(batch, (type, _connection, bytes) => {
        const isFrame = type === FROM_SHARD.send || type === FROM_SHARD.bulk || type === FROM_SHARD.publish;
        if (!isFrame) return;
        const message = decodeServerMessage(type === FROM_SHARD.publish ? bytes.subarray(16) : bytes);
        if (isMalformed(message)) throw new Error(message.malformed);
        heard.push(message);
        if (message.kind === 'committed' || message.kind === 'changes')
          if (message.firstSeq > 0) message.changes.forEach((_, i) => told.push(message.firstSeq + i));
      }),
  });
  const post = (type: number, bytes: Uint8Array) => {
    const out = new EnvelopeWriter();
    out.add(type, 1, bytes);
    shard.receive(out.take());
  };
  const subscribe = (ch: number, at: { since: Seq; epoch: EpochId } | null = null) => {
    const { since, epoch } = at ?? { since: null, epoch: null };
    const message = { kind: 'subscribe', ch, page, since, epoch, create: 'blocks' } as const;
    const frame = encodeClientMessage(message);
    post(TO_SHARD.subscribe, writeSubscribeHead({ user: user as UserId, role: 'editor', replica, frame }));
  };
  subscribe(1);
  const write = (n: number, by = replica, ch = 1, drafts?: readonly OpDraft[]) => {
    const block = page as string as BlockId;
    const ops = encodeOps(drafts ?? [{ op: 'update', block, props: { [user]: n }, type: null }]);
    const hlc = { ms: Date.now(), counter: 0 };
    post(TO_SHARD.frame, encodeClientMessage({ kind: 'change', ch, n, hlc, ops, replica: by }));
  };
  /** Presence: a MessagePack value; null: none any more. */
  const show = (state: Uint8Array | null) =>
    post(TO_SHARD.frame, encodeClientMessage({ kind: 'presence', ch: 1, state }));
  const leave = () => post(TO_SHARD.closed, new Uint8Array(0));
  /** The changes told with a seq or without, by their names. */
  const names = (isVolatile: boolean) =>
    heard
      .flatMap((m) => (m.kind === 'changes' && (m.firstSeq === 0) === isVolatile ? m.changes : []))
      .map((c) => `${c.replica.slice(-4)}.${c.n}`);
  return { shard, page, replica, told, heard, write, show, leave, subscribe, names };
}
