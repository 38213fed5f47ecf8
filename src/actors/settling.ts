/**
 * What becomes of a queued change when the log has moved under it: it is there already, it still follows, or it cannot
 * follow any more. What was let in once is not refused for role, clock or limits; what may be in the log through an append of
 * unknown outcome (`handed`) not even for its content, or its number would be given away twice.
 */
import { sameBytes } from '../base/bytes.ts';
import type { Refusal } from '../document/model.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import type { ReplicaId } from '../protocol/ids.ts';
import type { WireName } from '../protocol/messages.ts';
import { BUSY_RETRY_MS } from './admission.ts';
import type { Audience, Rejection } from './audience.ts';
import type { ChangeQueue, QueuedChange } from './change-queue.ts';
import type { PageState } from './page-state.ts';
import type { ReplicaRecord } from './replicas.ts';
import { toName } from './wire-change.ts';

export type Standing =
  | { readonly standing: 'logged' }
  | { readonly standing: 'follows' }
  | ({ readonly standing: 'refused' } & Refusal);

export interface LogFacts {
  readonly closed: boolean;
  /** The log has another change of the replica under this number, or one before it: a node took in what another refused. */
  readonly displaced: boolean;
  /** The replica as the log has it now. */
  readonly logged: ReplicaRecord | undefined;
  /** Its last n among the changes that stand before this one in the queue, where there are any. */
  readonly queuedN: number | undefined;
  /** What the model says of its content, on the log as it is now. */
  readonly content: Refusal | undefined;
}

/** Contents that had a ground when they were let in, and lost it with a change that was withdrawn. */
const GROUNDLESS = new Set(['missing', 'not_yours']);

/** What its sender hears whose number the log has given to another change. */
export const displacedBy = (n: number): Refusal => ({
  code: 'out_of_order',
  message: `the log has another change under n ${n}, or one before it`,
});

/** What its sender hears under whose number another change waits: the log will have one of the two. */
const rivalOf = (n: number): Rejection => ({
  code: 'busy',
  message: `another change waits for the database under n ${n}`,
  retryAfterMs: BUSY_RETRY_MS,
});

/** Why a change is refused that comes under a known number: that is another's. Undefined: the page has this very change. */
export function notTheKnown(
  { replica, n, ops }: { replica: ReplicaId; n: number; ops: Uint8Array },
  waiting: QueuedChange | undefined,
  state: PageState,
): Rejection | undefined {
  if (waiting) return sameBytes(waiting.change.body, ops) ? undefined : rivalOf(n);
  return state.holdsOther(replica, n, ops) ? displacedBy(n) : undefined;
}

export function standingOf({ change, handed }: QueuedChange, facts: LogFacts): Standing {
  const { logged, closed, content } = facts;
  if (facts.displaced && logged?.owner === change.author)
    return { standing: 'refused', ...displacedBy(change.n) };
  if (logged?.owner === change.author && change.n <= logged.lastN) return { standing: 'logged' };
  if (closed) return { standing: 'refused', code: 'page_closed', message: 'the page went to the trash' };
  if (logged && logged.owner !== change.author) {
    const message = 'this replica id belongs to another user; draw a new one';
    return { standing: 'refused', code: 'not_yours', message };
  }
  const next = (facts.queuedN ?? logged?.lastN ?? 0) + 1;
  if (change.n !== next) {
    const message = `n is ${change.n}; this replica’s next is ${next}`;
    return { standing: 'refused', code: 'out_of_order', message };
  }
  if (content && !handed && GROUNDLESS.has(content.code)) return { standing: 'refused', ...content };
  return { standing: 'follows' };
}

export interface Review {
  readonly state: PageState;
  readonly closed: boolean;
  readonly withdrawn: (queued: QueuedChange) => boolean;
  /** What the log has just brought. */
  readonly entries: readonly LogEntry[];
}

/**
 * Takes out of the queue what is in the log, what is `withdrawn`, and what can follow no more (its sender is refused).
 * Returns those of them that the page had heard of and that are not in the log. The model has the queue's changes laid over
 * the state again afterwards, with those that were taken out.
 */
export function reviewQueue(
  queue: ChangeQueue,
  audience: Audience,
  { state, closed, withdrawn, entries }: Review,
): { own: WireName[]; foreign: WireName[] } {
  const lastN = new Map<ReplicaId, number>();
  const bodies = new Map(entries.map(({ replica, n, body }) => [`${replica}.${n}`, body]));
  const displaced = new Set<ReplicaId>();
  const own: WireName[] = [];
  const foreign: WireName[] = [];
  state.model.resetQueue([]);
  queue.retain((queued, told) => {
    const { change, connection, decoded } = queued;
    const { replica, n, hlcMs: ms, hlcCounter: counter, author } = change;
    const logged = state.replica(replica);
    const content = state.model.lay(decoded, { ms, counter, replica }, author);
    const logs = bodies.get(`${replica}.${n}`);
    if (logs && !sameBytes(logs, change.body)) displaced.add(replica);
    const standing = standingOf(queued, {
      closed,
      displaced: displaced.has(replica),
      logged,
      queuedN: lastN.get(replica),
      content,
    });
    if (standing.standing === 'logged') return false;
    if (standing.standing === 'follows' && !withdrawn(queued)) {
      lastN.set(replica, n);
      return true;
    }
    if (standing.standing === 'refused' && !queued.foreign)
      audience.reject(connection, n, replica, standing, state.model.kindOf(decoded));
    if (told) (queued.foreign ? foreign : own).push(toName(change));
    return false;
  });
  return { own, foreign };
}
