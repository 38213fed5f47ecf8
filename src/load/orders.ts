/**
 * What the main thread and the threads that hold the clients tell each other: plain data.
 *
 *     connect ─▶ connected      every client has opened its page
 *     start                     edits are made from now on; measured are those due between two moments
 *         ◀─ report …           several times a second
 *     stop ─▶ settled           no more edits; all that were made have an answer, or never will
 *     look ─▶ looked            who has not come to the end of its page's log
 */
import type { Millis } from '../base/time.ts';
import type { ExpectedBlock } from './author.ts';
import type { SharedMoments } from './shared.ts';
import type { Counts, Samples } from './tallies.ts';
import type { Trace } from './trace.ts';

export interface LoadPagePlan {
  readonly id: string;
  /** Its writers are the clients with these numbers. */
  readonly firstWriter: number;
  readonly writers: number;
}

export interface ClientPlan {
  /** Writers come first, those of a page in a row. The last four bytes of the client's replica. */
  readonly number: number;
  /** Index of its page. */
  readonly page: number;
  readonly kind: 'writer' | 'reader' | 'slow';
  readonly token: string;
}

/** What clients do, besides reading. */
export interface Behaviour {
  readonly edits: 'text' | 'blocks' | 'mixed' | 'none';
  readonly trace: Trace | null;
  /** `inFlight`: each writer has so many edits without an answer. `scale`: times the pauses that a person makes. */
  readonly pace: { readonly inFlight: number } | { readonly scale: number };
  /** Presence frames of each client, a second. */
  readonly presence: number;
  readonly storm: 'none' | 'join' | 'reconnect' | 'churn';
  readonly everyMs: Millis;
  /** Who is thrown out comes back within this time. */
  readonly spreadMs: Millis;
  /** Joins a second of this thread's readers; null: all at once, every `everyMs`. */
  readonly joinRate: number | null;
  readonly slowBytesPerSecond: number;
}

export interface ThreadPlan {
  readonly thread: number;
  readonly url: string;
  /** The id whose first twelve bytes all replicas of the run begin with. */
  readonly run: string;
  readonly seed: number;
  readonly pages: readonly LoadPagePlan[];
  readonly clients: readonly ClientPlan[];
  readonly behaviour: Behaviour;
  readonly moments: SharedMoments;
  readonly pace: PaceCells;
}

/** Shared with the pacer. */
export interface PaceCells {
  /** When each thread's next edit is due: Float64. */
  readonly nextDue: SharedArrayBuffer;
  /** Int32: [0] counts the changes of `nextDue`; [1] ends the pacer; [2 + thread]: a tick is on its way. */
  readonly cells: SharedArrayBuffer;
}

export type Order =
  | { readonly do: 'connect' }
  /** Moments of the clock that the threads share. */
  | { readonly do: 'start'; readonly measureFrom: Millis; readonly measureTo: Millis }
  | { readonly do: 'stop'; readonly patienceMs: Millis }
  | { readonly do: 'look'; readonly heads: readonly number[]; readonly patienceMs: Millis };

export interface WriterEnd {
  readonly number: number;
  readonly page: number;
  readonly made: number;
  readonly acknowledged: number;
  /** The code of the refusal that ended its writing. */
  readonly silencedBy: string | null;
  readonly expected: ExpectedBlock[];
}

export interface Report {
  readonly say: 'report';
  readonly counts: Counts;
  readonly refused: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
  readonly samples: Samples;
  readonly live: number;
  readonly pending: number;
  /** Share of the time since the last report that the thread was busy. */
  readonly busy: number;
  /** How late its event loop was since then, at most. */
  readonly loopDelayMs: Millis;
}

export type Answer =
  | { readonly say: 'connected' }
  | { readonly say: 'progress'; readonly connected: number }
  | { readonly say: 'failed'; readonly message: string; readonly isExpected: boolean }
  | Report
  | { readonly say: 'settled'; readonly writers: readonly WriterEnd[]; readonly joining: number }
  | { readonly say: 'looked'; readonly behind: number; readonly findings: readonly string[] };
