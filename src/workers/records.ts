/**
 * The bodies of the records between gateway and shard that tell of people (see `envelope.ts`): both directions of each, side
 * by side. Those that are a number, or begin with one, are in `number-records.ts`.
 */
import { ID_BYTES, bytesToId, type ReplicaId, type UserId, writeId } from '../protocol/ids.ts';
import { type Role, ROLES } from '../protocol/messages.ts';
import { readCh, writeCh } from './number-records.ts';

const NO_ROLE = 0xff;
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder();

export interface SubscribeHead {
  readonly user: UserId;
  readonly role: Role;
  readonly replica: ReplicaId;
  readonly frame: Uint8Array;
}

/** `[role u8] [replica 16] [user length u16] [user] [frame]` */
export function writeSubscribeHead({ user, role, replica, frame }: SubscribeHead): Uint8Array {
  const name = utf8Encoder.encode(user);
  const bytes = new Uint8Array(3 + ID_BYTES + name.length + frame.length);
  bytes[0] = ROLES.indexOf(role);
  writeId(replica, bytes, 1);
  bytes[17] = name.length & 255;
  bytes[18] = name.length >>> 8;
  bytes.set(name, 19);
  bytes.set(frame, 19 + name.length);
  return bytes;
}

export function readSubscribeHead(bytes: Uint8Array): SubscribeHead {
  const nameEnd = 19 + (bytes[17]! | (bytes[18]! << 8));
  return {
    role: ROLES[bytes[0]!]!,
    replica: bytesToId<ReplicaId>(bytes, 1),
    user: utf8Decoder.decode(bytes.subarray(19, nameEnd)) as UserId,
    frame: bytes.subarray(nameEnd),
  };
}

/** `[ch u32] [role u8, 255 for none]` */
export function writeRole(ch: number, role: Role | null): Uint8Array {
  return Uint8Array.of(...writeCh(ch), role === null ? NO_ROLE : ROLES.indexOf(role));
}

export function readRole(bytes: Uint8Array): { ch: number; role: Role | null } {
  return { ch: readCh(bytes), role: ROLES[bytes[4]!] ?? null };
}
