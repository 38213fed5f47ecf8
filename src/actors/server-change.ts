/**
 * A change of the server's own, such as a purge: it goes the way of all changes, under a replica that is nobody's.
 */
import type { Millis } from '../base/time.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import { SERVER_REPLICA, SERVER_USER } from '../protocol/ids.ts';

export const serverChange = (n: number, now: Millis, body: Uint8Array): StoredChange => ({
  replica: SERVER_REPLICA,
  n,
  hlcMs: now,
  hlcCounter: 0,
  author: SERVER_USER,
  at: now,
  body,
});
