/**
 * What a subscription hears of changes before their commit, and of their end. The layer itself is the replica's; what is
 * decided here is when it is emptied, and when live texts that still hold some of it are given up.
 */
import type { Clock, Millis, Timer } from '../base/time.ts';
import { type Seq, seq } from '../protocol/ids.ts';
import type { WireChange, WireName } from '../protocol/messages.ts';
import { hasGround } from './ground.ts';
import type { PendingChange } from './outbox.ts';
import type { WorkingCopy } from './working-copy.ts';

/** Live texts that hold what was told before its commit are compared with what their blocks add up to, so often. */
const DOUBT_MS: Millis = 1000;
/**
 * So long a change of mine waits for what it was built upon: told here, and not by the node that we came to. Longer than
 * its author's longest back-off: who wrote it sends it again when they are back.
 */
const GROUND_MS: Millis = 20_000;

export class VolatileNews {
  readonly #copy: WorkingCopy;
  readonly #clock: Clock;
  #doubts: Timer | null = null;
  /** How far the server's log reaches, as far as it was heard. */
  #head: Seq = seq(0);
  /** My changes up to this number were told to the page: the server has taken them in, and stores them when it can. */
  #takenN = 0;
  #groundUntil: Millis = -Infinity;

  constructor(copy: WorkingCopy, clock: Clock) {
    this.#copy = copy;
    this.#clock = clock;
  }

  /** The log reaches so far. */
  reached(head: number): void {
    if (head > this.#head) this.#head = seq(head);
  }

  get takenN(): number {
    return this.#takenN;
  }

  heard(changes: readonly WireChange[]): void {
    const { id } = this.#copy.replica;
    for (const { replica, n } of changes) if (replica === id && n > this.#takenN) this.#takenN = n;
    this.#copy.hearVolatile(changes, this.#head);
    this.#doubtLater();
  }

  /** They will not come to the log. True if one of them is mine, and with the server. */
  withdrawn(names: readonly WireName[]): boolean {
    this.#copy.withdraw(names);
    const { id, outbox } = this.#copy.replica;
    return names.some(({ replica, n }) => replica === id && outbox.isInFlight(n));
  }

  /** A subscription begins at `head`: those of now follow. */
  restart(head: Seq): void {
    this.#head = head;
    this.#takenN = 0;
    if (this.#copy.replica.volatileCount > 0) this.#groundUntil = this.#clock.monotonic() + GROUND_MS;
    this.#copy.forgetVolatile();
    this.stop();
    this.#doubtLater();
  }

  /** Looks at the live texts concerned once a second, until nothing volatile is left in them. */
  #doubtLater(): void {
    this.#doubts ??= this.#clock.after(DOUBT_MS, () => {
      this.#doubts = null;
      if (this.#copy.settleDoubts()) this.#doubtLater();
    });
  }

  /** Whether what was told on an earlier subscription may still come: from its author, or a node that heard of it. */
  get mayComeBack(): boolean {
    return this.#clock.monotonic() < this.#groundUntil;
  }

  /** Whether a change of mine is about blocks that are not here, and may still come. */
  awaitsGround(change: PendingChange | undefined): boolean {
    return change !== undefined && this.mayComeBack && !hasGround(this.#copy.replica.view, change.ops);
  }

  stop(): void {
    this.#doubts?.cancel();
    this.#doubts = null;
  }
}
