/**
 * What the measuring process tells the load generator and what it answers: plain data over the channel of a forked
 * process. One run at a time: the generator says `measuring` when the warm-up is over, and `measured` when the window
 * is, so that CPU time is read at the same two moments; then `done`, when everything sent has arrived.
 */

export interface LoadClient {
  /** The node that it connects to. */
  readonly url: string;
  readonly token: string;
  readonly replica: string;
  readonly yjsClient: number;
  /** The block it types into. */
  readonly block: string;
}

export interface LoadPage {
  readonly page: string;
  readonly clients: LoadClient[];
}

/** `closed`: each client keeps `inFlight` edits unechoed. `open`: one edit after another, evenly spaced, come what may. */
export type LoadMode =
  | { readonly kind: 'closed'; readonly inFlight: number }
  | { readonly kind: 'open'; readonly perSecond: number };

export interface RunOrder {
  readonly type: 'run';
  readonly mode: LoadMode;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Only the first so many clients of each page type; without it all do. */
  readonly typistsEach?: number;
}

/** A plan says which clients there are: `LoadPage[]` for the suites. */
export type Order<Plan> =
  { readonly type: 'connect'; readonly plan: Plan } | RunOrder | { readonly type: 'disconnect' };

export interface RunResult {
  /** Edits that reached the next client of their page within the window. */
  readonly accepted: number;
  readonly seconds: number;
  /** From the due moment (closed loop: the write) to receipt at the next client, ms, of edits due in the window. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** From the due moment to the write, ms: the generator's own part of the above. */
  readonly lateP99: number;
  /** More was outstanding than is worth waiting for: the rate is beyond what the server takes. */
  readonly saturated: boolean;
  /** Characters typed by each client since it connected, in the order of the plan. */
  readonly typed: number[][];
}

export type Answer =
  | { readonly type: 'connected' }
  | { readonly type: 'measuring' }
  | { readonly type: 'measured' }
  | { readonly type: 'done'; readonly result: RunResult }
  | { readonly type: 'disconnected' }
  | { readonly type: 'failed'; readonly reason: string };
