/**
 * What a page knows of the replicas that wrote to it: their last number in the log, its stamp and where it stands, and the user
 * whom each belongs to. This is what makes changes exactly-once, so it is part of every snapshot (the private part):
 * a page that forgot it would take a resent change in twice.
 */
import type { ReplicaId, Seq, UserId } from '../protocol/ids.ts';
import { seq } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import type { WireStamp } from '../protocol/messages.ts';
import { MsgpackReader } from '../protocol/msgpack-reader.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';

export interface ReplicaRecord {
  readonly owner: UserId;
  lastN: number;
  lastSeq: Seq;
  /** The stamp of its last change in the log; null: the snapshot is of a version that did not keep it. */
  lastHlc: WireStamp | null;
}

export interface PrivateState {
  readonly replicas: Map<ReplicaId, ReplicaRecord>;
  /** The highest ms of any stamp in the log, for the rule of clock skew. */
  readonly latestMs: number;
  /** The model's own part. */
  readonly model: Uint8Array;
}

export function encodePrivateState(state: PrivateState): Uint8Array {
  const w = new MsgpackWriter(64 * state.replicas.size + state.model.length + 64);
  w.array(4).int(state.latestMs).array(state.replicas.size);
  for (const [replica, { owner, lastN, lastSeq }] of state.replicas) {
    w.array(4).id(replica).str(owner).int(lastN).int(lastSeq);
  }
  w.bin(state.model);
  // Behind what versions before read: they step over it.
  w.array(state.replicas.size);
  for (const { lastHlc } of state.replicas.values()) {
    if (lastHlc) w.array(2).int(lastHlc.ms).int(lastHlc.counter);
    else w.nil();
  }
  return w.take();
}

/** Throws `MsgpackError` if the bytes are of another shape. */
export function decodePrivateState(bytes: Uint8Array): PrivateState {
  const r = new MsgpackReader(bytes);
  const parts = r.array();
  const latestMs = r.uint();
  const replicas = new Map<ReplicaId, ReplicaRecord>();
  for (let left = r.array(); left > 0; left--) {
    r.array();
    const replica = r.id<ReplicaId>();
    replicas.set(replica, {
      owner: r.str(1024) as UserId,
      lastN: r.uint(),
      lastSeq: seq(r.uint()),
      lastHlc: null,
    });
  }
  const model = r.bin(bytes.length);
  if (parts > 3) readStamps(r, replicas);
  return { latestMs, replicas, model };
}

function readStamps(r: MsgpackReader, replicas: Map<ReplicaId, ReplicaRecord>): void {
  r.array(replicas.size);
  for (const record of replicas.values()) {
    if (r.tryNil()) continue;
    r.array(2);
    record.lastHlc = { ms: r.uint(WIRE.hlcMsMax), counter: r.uint(WIRE.hlcCounterMax) };
  }
}
