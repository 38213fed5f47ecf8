/**
 * A change in its three forms: as stored, as an entry of the log, as CHANGES carries it.
 */
import type { LogEntry, StoredChange } from '../persistence/log-store.ts';
import type { Seq } from '../protocol/ids.ts';
import type { WireChange, WireName } from '../protocol/messages.ts';

export const toWire = ({ replica, n, hlcMs, hlcCounter, author, at, body }: StoredChange): WireChange => ({
  replica,
  n,
  hlc: { ms: hlcMs, counter: hlcCounter },
  author,
  at,
  ops: body,
});

export const fromWire = ({ replica, n, hlc, author, at, ops }: WireChange): StoredChange => ({
  replica,
  n,
  hlcMs: hlc.ms,
  hlcCounter: hlc.counter,
  author,
  at,
  body: ops,
});

export const toName = ({ replica, n, hlcMs, hlcCounter }: StoredChange): WireName => ({
  replica,
  n,
  hlc: { ms: hlcMs, counter: hlcCounter },
});

/** Names as keys: two that differ only in their stamp are two changes. */
export const keyOf = ({ replica, n, hlc }: WireName): string => `${replica}.${n}.${hlc.ms}.${hlc.counter}`;

/** Field by field: a spread of an object costs a microsecond here. */
export function logEntry(change: StoredChange, at: Seq): LogEntry {
  const { replica, n, hlcMs, hlcCounter, author, body } = change;
  return { seq: at, replica, n, hlcMs, hlcCounter, author, at: change.at, body };
}
