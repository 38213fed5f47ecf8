/**
 * Whether a change may enter a page's queue. Pure decisions, in the order that the protocol promises: whose replica it
 * is; then duplicates, which are acknowledged before role, clock or limits are looked at; then the number; then the
 * rest. The content itself is the model's to check.
 */
import type { Millis } from '../base/time.ts';
import type { Code } from '../protocol/codes.ts';
import { type ReplicaId, SERVER_REPLICA, type UserId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { mayWrite, type Role, type WireStamp } from '../protocol/messages.ts';

export interface AdmissionFacts {
  readonly user: UserId;
  readonly role: Role;
  readonly replica: ReplicaId;
  readonly n: number;
  readonly hlc: WireStamp;
  readonly bytes: number;
  /** The replica in the log and in the queue, where it is known. */
  readonly logged: { readonly owner: UserId; readonly lastN: number } | undefined;
  readonly queued: { readonly owner: UserId; readonly n: number } | undefined;
  /** One before it was refused on this subscription, and has not come again. */
  readonly isBehindRefusal: boolean;
  readonly queueLength: number;
  readonly queueBytes: number;
  /** What the queues of all pages of the shard hold. */
  readonly backlogBytes: number;
  readonly closed: boolean;
  /** The highest ms in the page's log. */
  readonly latestMs: Millis;
  readonly now: Millis;
  /** ms until the user's rate allows another change; 0 now. */
  readonly userWaitMs: Millis;
  /**
   * Takes a token of the page's rate and returns 0, or the ms until there is one. Called last: what is refused for
   * another reason costs the page nothing, or readers could keep writers out.
   */
  takePageRate(): Millis;
}

export type Admission =
  | { readonly verdict: 'accept' }
  /** In the log: acknowledge again. */
  | { readonly verdict: 'acknowledge' }
  /** In the queue: its echo will tell. */
  | { readonly verdict: 'ignore' }
  | {
      readonly verdict: 'refuse';
      readonly code: Code;
      readonly message: string;
      readonly retryAfterMs: number | null;
    };

export const BUSY_RETRY_MS = 500;

export function admitChange(facts: AdmissionFacts, limits: Limits): Admission {
  if (facts.replica === SERVER_REPLICA) return refuse('not_yours', 'this replica id is the server’s own');
  const owner = facts.logged?.owner ?? facts.queued?.owner;
  if (owner !== undefined && owner !== facts.user) {
    return refuse('not_yours', 'this replica id belongs to another user; draw a new one');
  }
  // Though its number be the next: the page has another under one of those before it than its sender has.
  if (facts.isBehindRefusal) return refuse('out_of_order', 'a number before it was refused');
  const loggedN = facts.logged?.lastN ?? 0;
  const lastN = Math.max(loggedN, facts.queued?.n ?? 0);
  if (facts.n >= 1 && facts.n <= loggedN) return { verdict: 'acknowledge' };
  if (facts.n >= 1 && facts.n <= lastN) return { verdict: 'ignore' };
  if (facts.n !== lastN + 1)
    return refuse('out_of_order', `n is ${facts.n}; this replica’s next is ${lastN + 1}`);
  if (!mayWrite(facts.role)) return refuse('forbidden', `a ${facts.role} may not change this page`);
  if (facts.closed) return refuse('page_closed', 'the page is in the trash; restore it first');
  const latest = Math.max(facts.now, facts.latestMs);
  if (facts.hlc.ms > latest + limits.clockDriftMaxMs) {
    return refuse(
      'clock_skew',
      `the stamp is ${facts.hlc.ms - latest} ms ahead; stamp it anew by the server’s time`,
    );
  }
  if (facts.userWaitMs > 0) {
    return refuse(
      'rate',
      `a user may send ${limits.userChangesPerSecond} changes a second`,
      facts.userWaitMs,
    );
  }
  if (facts.queueLength >= limits.pageQueueMax || facts.queueBytes + facts.bytes > limits.pageQueueBytesMax) {
    return refuse('busy', 'too many changes of this page wait for the database', BUSY_RETRY_MS);
  }
  if (facts.backlogBytes + facts.bytes > limits.backlogBytesMax) {
    return refuse('busy', 'too many changes wait for the database', BUSY_RETRY_MS);
  }
  const pageWaitMs = facts.takePageRate();
  if (pageWaitMs > 0) {
    return refuse('rate', `this page takes ${limits.pageChangesPerSecond} changes a second`, pageWaitMs);
  }
  return { verdict: 'accept' };
}

function refuse(code: Code, message: string, retryAfterMs: number | null = null): Admission {
  return { verdict: 'refuse', code, message, retryAfterMs };
}
