/**
 * What becomes of what another node says of a page: pure decisions of `commit-pipeline.ts`. What it says the log holds is taken as
 * such, as far as it joins on to what is known here; what it tells before its commit is queued, if it may follow here.
 */
import type { LogEntry } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import { seq, type Seq } from '../protocol/ids.ts';
import type { WireChange } from '../protocol/messages.ts';
import type { ChangeQueue } from './change-queue.ts';
import type { PageState } from './page-state.ts';
import { fromWire, keyOf, logEntry } from './wire-change.ts';
import type { ToldMessage } from './world.ts';

/** The decoded ops of another node's change; undefined if it leaves a hole here, is known, or lacks its ground. */
export function admitForeign(wire: WireChange, queue: ChangeQueue, state: PageState): unknown {
  const { replica, n, author, hlc } = wire;
  const logged = state.replica(replica);
  const queued = queue.lastOf(replica);
  const owner = logged?.owner ?? queued?.owner ?? author;
  if (owner !== author || n !== Math.max(logged?.lastN ?? 0, queued?.n ?? 0) + 1) return undefined;
  const decoded = state.model.decode(wire.ops);
  if (isMalformed(decoded)) return undefined;
  return state.model.admit(decoded, { ...hlc, replica }, author) ? undefined : decoded;
}

/**
 * What another node says that the log holds behind our head. COMMITTED only names changes that were told before. Undefined if
 * there is a gap, or a change that nobody told here: the log has it.
 */
export function behindHead(message: ToldMessage, head: Seq, queue: ChangeQueue): LogEntry[] | undefined {
  const { firstSeq: first } = message;
  if (first > head + 1) return undefined;
  const known = head + 1 - first;
  if (message.kind === 'changes')
    return message.changes.slice(known).map((change, i) => logEntry(fromWire(change), seq(head + 1 + i)));
  const queued = queue.byName();
  const entries: LogEntry[] = [];
  for (const name of message.changes.slice(known)) {
    const change = queued.get(keyOf(name))?.change;
    if (!change) return undefined;
    entries.push(logEntry(change, seq(head + 1 + entries.length)));
  }
  return entries;
}
