/**
 * The checksum of a stored snapshot, and what is said about a bad one. A snapshot that does not decode would be noticed
 * anyway; one with a flipped byte in some text would be served for ever. Both twins of the log store use this.
 */
import { createHash } from 'node:crypto';
import type { Log } from '../base/log.ts';
import type { PageId } from '../protocol/ids.ts';
import type { StoredSnapshot } from './log-store.ts';

const CHECKSUM_BYTES = 16;

/** The first 16 bytes of SHA-256 over seq, model version, length of the body, body and private part. */
export function snapshotChecksum(snapshot: StoredSnapshot): Uint8Array {
  const head = new DataView(new ArrayBuffer(24));
  head.setBigInt64(0, BigInt(snapshot.seq));
  head.setBigInt64(8, BigInt(snapshot.modelVersion));
  // Without the length a byte could wander from one part to the other unseen.
  head.setBigInt64(16, BigInt(snapshot.body.length));
  const hash = createHash('sha256')
    .update(new Uint8Array(head.buffer))
    .update(snapshot.body)
    .update(snapshot.private);
  return new Uint8Array(hash.digest().subarray(0, CHECKSUM_BYTES));
}

export function isChecksumGood(snapshot: StoredSnapshot, stored: Uint8Array): boolean {
  const fresh = snapshotChecksum(snapshot);
  return stored.length === fresh.length && fresh.every((byte, i) => byte === stored[i]);
}

/** True if the stored checksum fits; otherwise says so in the log, with what to do. */
export function checkSnapshot(snapshot: StoredSnapshot, stored: Uint8Array, page: PageId, log: Log): boolean {
  if (isChecksumGood(snapshot, stored)) return true;
  log.error(
    { page, seq: snapshot.seq, repair: `octavo rebuild ${page}` },
    'a stored snapshot fails its checksum and is skipped: nothing is lost, but look at the disk of the database',
  );
  return false;
}
