/**
 * The events of a page, as the application sees them. `rejected` is never to be ignored: it hands back edits that will
 * not be saved, because the server refused them, or the page, for good. (Of a page that was taken away while changes were
 * on their way, some of these may be in the log all the same.)
 */
import type { Millis } from '../base/time.ts';
import type { Op, OpDraft } from '../document/ops.ts';
import type { NoticeCode } from '../protocol/codes.ts';
import type { BlockId, ReplicaId, Seq, UserId } from '../protocol/ids.ts';
import type { Role } from '../protocol/messages.ts';
import type { DivergedEvent } from './divergence.ts';
import type { ClientCode, OctavoError } from './errors.ts';

export interface ChangeSummary {
  /**
   * The place in the log; null for an edit of mine that has just been made, and for one of another that is shown before it
   * is stored (it comes again, with its seq, when it is).
   */
  readonly seq: Seq | null;
  readonly replica: ReplicaId;
  readonly author: UserId | null;
  readonly n: number;
  /** When the server took it, ms since 1970. */
  readonly at: Millis | null;
  /** `block` is null for a purge, which names many. */
  readonly ops: readonly { readonly op: Op['op']; readonly block: BlockId | null }[];
}

export interface ChangeEvent {
  /** Made here. An own change that comes back from the server makes no second event. */
  readonly local: boolean;
  /** Empty when the page was replaced by a snapshot or rebuilt after a refusal. */
  readonly changes: readonly ChangeSummary[];
  readonly blocks: ReadonlySet<BlockId>;
}

export interface RejectedEvent {
  readonly code: ClientCode;
  readonly message: string;
  readonly ops: readonly (Op | OpDraft)[];
  /** Blocks whose Y.Text was replaced: ask `page.text(id)` again. */
  readonly texts: ReadonlySet<BlockId>;
}

export interface PageEvents {
  change: ChangeEvent;
  /** Whether nothing is pending: all edits are durable. */
  saved: boolean;
  /** Whether all that others did and that is shown is durable (see `page.settled`). */
  settled: boolean;
  /** Whether the page holds edits of a newer version, which are not shown here (see `page.outdated`). */
  outdated: boolean;
  /** A change of mine became durable: at `seq` in the log, or null when it is just known to be there (after a reconnect). */
  confirmed: { readonly n: number; readonly seq: Seq | null };
  rejected: RejectedEvent;
  /** An op of mine was accepted but had no effect. */
  notice: { readonly n: number; readonly code: NoticeCode; readonly opIndex: number };
  /** This copy was found to differ from the page: a bug worth a report. It repairs itself; ask `page.text` again after it. */
  diverged: DivergedEvent;
  role: Role | null;
  /** Whether the copy is at the head of the log and hears what comes. */
  live: boolean;
  /** The server refused the page for good; its state can still be read. `closed` follows. */
  error: OctavoError;
  /** The page is not kept up any more, and why; `closed` is the code after `close()`. */
  closed: OctavoError;
}
