/**
 * The bodies of the small records between gateway and shard (see `envelope.ts`): both directions of each, side by side.
 */
import { ID_BYTES, bytesToId, type ReplicaId, type UserId, writeId } from '../protocol/ids.ts';
import { type Role, ROLES } from '../protocol/messages.ts';

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

export function writeCh(ch: number): Uint8Array {
  return Uint8Array.of(ch & 255, (ch >>> 8) & 255, (ch >>> 16) & 255, ch >>> 24);
}

export function readCh(bytes: Uint8Array): number {
  return (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
}

/** `[wait ms u32] [frame]` */
export function writeSlowed(waitMs: number, frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + frame.length);
  bytes.set(writeCh(Math.min(waitMs, 0xffff_ffff)));
  bytes.set(frame, 4);
  return bytes;
}

export function readSlowed(bytes: Uint8Array): { waitMs: number; frame: Uint8Array } {
  return { waitMs: readCh(bytes), frame: bytes.subarray(4) };
}

/** `[ch u32] [role u8, 255 for none]` */
export function writeRole(ch: number, role: Role | null): Uint8Array {
  return Uint8Array.of(...writeCh(ch), role === null ? NO_ROLE : ROLES.indexOf(role));
}

export function readRole(bytes: Uint8Array): { ch: number; role: Role | null } {
  return { ch: readCh(bytes), role: ROLES[bytes[4]!] ?? null };
}
