/**
 * One page on the wire: subscribes, catches up, repairs gaps, sends what is pending and takes refusals by their class.
 *
 *     away ──link──▶ asking ──SUBSCRIBED──▶ joining ──seq = head──▶ live
 *       ▲              │ ERROR wait            │  gap: SYNC, once; kept changes follow
 *       └── lost       ▼                       ▼
 *                   waiting ──────────────▶ asking (a fresh ch)          any ── final ERROR ──▶ over
 *
 * Replies carry the ch, and a ch is used once: so subscribing again is also the barrier that makes the replies to an
 * earlier flight of changes harmless. It is used after refusals that had more changes in flight behind them.
 */
import { backoffMs, type Random } from '../base/random.ts';
import type { Clock, Millis, Timer } from '../base/time.ts';
import { codeClass } from '../protocol/codes.ts';
import type { EpochId, PageId, Seq } from '../protocol/ids.ts';
import type { Role, ServerMessage } from '../protocol/messages.ts';
import { CatchUp } from './catch-up.ts';
import { OctavoError } from './errors.ts';
import type { Link } from './link.ts';
import type { PendingChange } from './outbox.ts';
import type { WorkingCopy } from './working-copy.ts';

export interface SubscriptionHooks {
  /** The role on the page; null: none any more. */
  role(role: Role | null): void;
  live(live: boolean): void;
  /** A new subscription stands: presence starts anew. */
  subscribed(): void;
  /** Changes of mine that the log holds. */
  confirmed(changes: readonly PendingChange[]): void;
  over(error: OctavoError): void;
  /** The ch under which replies come now; null: none. */
  route(ch: number | null): void;
}

type State =
  | { kind: 'away' }
  | { kind: 'asking'; ch: number }
  | { kind: 'joining'; ch: number; head: Seq; lastN: number }
  | { kind: 'live'; ch: number }
  | { kind: 'waiting'; timer: Timer }
  | { kind: 'over' };

/** Changes of mine that may be with the server at a time. */
const IN_FLIGHT_MAX = 16;
/** Without any word on the page while we wait for one: subscribe again. */
const PATIENCE_MS: Millis = 20_000;
const RETRY_MS = { first: 200, max: 10_000 };

/** Codes that are about me or the page: whatever else is pending would be refused alike. */
const FOR_ALL: ReadonlySet<string> = new Set(['forbidden', 'page_closed', 'unauthorized', 'unknown_page']);

type Of<Kind extends ServerMessage['kind']> = Extract<ServerMessage, { kind: Kind }>;

/** Codes that a page which is open meets only for its presence (docs/protocol.md, part 10). */
const ABOUT_PRESENCE = new Set<string>(['too_large', 'not_yours', 'malformed']);

export class Subscription {
  readonly #page: PageId;
  readonly #link: Link;
  readonly #copy: WorkingCopy;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hooks: SubscriptionHooks;
  readonly #catchUp: CatchUp;
  #create: string | null;
  #state: State = { kind: 'away' };
  #epoch: EpochId | null = null;
  #attempt = 0;
  #deadline: Millis = Infinity;
  /** Set while changes may not be sent: the server asked to wait. */
  #pause: Timer | null = null;
  /** Mine up to n are in the log, at or below seq. */
  #durable: { n: number; seq: Seq } | null = null;

  constructor(
    page: PageId,
    create: string | null,
    link: Link,
    copy: WorkingCopy,
    clock: Clock,
    random: Random,
    hooks: SubscriptionHooks,
  ) {
    // prettier-ignore
    this.#page = page;
    this.#create = create;
    this.#link = link;
    this.#copy = copy;
    this.#clock = clock;
    this.#random = random;
    this.#hooks = hooks;
    this.#catchUp = new CatchUp(page, copy, {
      sync: (since) => this.ch !== null && link.send({ kind: 'sync', ch: this.ch, since }),
      advanced: (confirmed) => this.#advanced(confirmed),
      // Those that it holds are sent again too, and acknowledged as duplicates.
      jumped: () => this.#recall(0),
      damaged: () => this.#again(),
      unreadable: (error) =>
        this.refuse(new OctavoError('unsupported', `the page cannot be read: ${String(error)}`)),
    });
  }

  #recall(n: number): void {
    this.#copy.replica.outbox.recallFrom(n);
  }

  get ch(): number | null {
    return 'ch' in this.#state ? this.#state.ch : null;
  }

  get isLive(): boolean {
    return this.#state.kind === 'live';
  }

  /** Asks for the page: at first, and on every new socket. */
  subscribe(): void {
    if (this.#state.kind === 'over' || !this.#link.isOpen) return;
    this.#leave();
    const ch = this.#link.freshCh();
    this.#enter({ kind: 'asking', ch });
    const since = this.#copy.replica.seq > 0 ? this.#copy.replica.seq : null;
    this.#link.send({
      kind: 'subscribe',
      ch,
      page: this.#page,
      since,
      epoch: this.#epoch,
      create: this.#create,
    });
    this.#heard();
  }

  #enter(state: State): void {
    const wasLive = this.isLive;
    this.#state = state;
    this.#hooks.route(this.ch);
    if (wasLive !== this.isLive) this.#hooks.live(this.isLive);
  }

  /** Gives up the present subscription: whatever is on its way is void, and all that is pending is to be sent again. */
  #leave(): void {
    if (this.#state.kind === 'waiting') this.#state.timer.cancel();
    if ('ch' in this.#state) this.#link.send({ kind: 'unsubscribe', ch: this.#state.ch });
    this.#pause?.cancel();
    this.#pause = null;
    this.#catchUp.clear();
    this.#durable = null;
    this.#deadline = Infinity;
    this.#recall(0);
  }

  lost(): void {
    if (this.#state.kind === 'over') return;
    this.#leave();
    this.#enter({ kind: 'away' });
  }

  /** Subscribes again after a while, under a fresh ch. */
  #again(delayMs: Millis = this.#backoff()): void {
    this.#leave();
    this.#enter({ kind: 'waiting', timer: this.#clock.after(delayMs, () => this.subscribe()) });
  }

  #backoff(): Millis {
    return backoffMs(this.#random, this.#attempt++, RETRY_MS.first, RETRY_MS.max);
  }

  close(): void {
    this.#leave();
    this.#enter({ kind: 'over' });
  }

  refuse(error: OctavoError): void {
    if (this.#state.kind === 'over') return;
    this.close();
    this.#hooks.over(error);
  }

  #heard(): void {
    this.#deadline = this.#clock.monotonic() + PATIENCE_MS;
  }

  beat(): void {
    const waits = this.#state.kind === 'asking' || this.#state.kind === 'joining' || this.#catchUp.isSyncing;
    const owed = this.isLive && !this.#pause && this.#copy.replica.outbox.inFlight > 0;
    if ((waits || owed) && this.#clock.monotonic() > this.#deadline) this.#again();
  }

  /** A message with this page's ch. */
  receive(message: ServerMessage): void {
    this.#heard();
    switch (message.kind) {
      case 'subscribed':
        return this.#subscribed(message);
      case 'snapshot':
        if (this.isJoined) this.#catchUp.snapshotPart(message);
        return;
      case 'ack':
        if (message.replica !== this.#copy.replica.id) return;
        if (message.n > (this.#durable?.n ?? 0)) this.#durable = { n: message.n, seq: message.seq };
        return this.#advanced();
      case 'reject':
        return this.#rejected(message);
      case 'role':
        return this.#hooks.role(message.role);
      case 'error':
        return this.#failed(message);
    }
  }

  #subscribed({ role, head, lastN, epoch, ch }: Of<'subscribed'>): void {
    if (this.#state.kind !== 'asking') return;
    const other = this.#epoch !== null && this.#epoch !== epoch;
    if (other || this.#copy.replica.seq > head) this.#copy.startOver();
    this.#epoch = epoch;
    this.#create = null;
    this.#enter({ kind: 'joining', ch, head, lastN });
    this.#hooks.role(role);
    this.#hooks.subscribed();
    this.#advanced();
  }

  #failed({ code, message, retryAfterMs }: Of<'error'>): void {
    if (code === 'expired') this.#link.renewToken();
    if (code === 'rate' && this.isLive && !this.#catchUp.isSyncing) return this.#wait(retryAfterMs);
    // Of a presence state that was not taken: the page stays open. (The SDK keeps within the limits by itself.)
    if (this.isLive && ABOUT_PRESENCE.has(code)) return;
    const lostTrack = code === 'not_open' || code === 'already_open';
    if (codeClass(code) !== 'final' || lostTrack) return this.#again(retryAfterMs ?? this.#backoff());
    this.refuse(new OctavoError(code, message));
  }

  /** A frame of changes; `bytes` is about its size. */
  receiveChanges({ firstSeq, changes }: Of<'changes'>, bytes: number): void {
    // First seq 0: told before their commit, which this client does not ask for.
    if (firstSeq === 0 || changes.length === 0 || !this.isJoined) return;
    this.#heard();
    this.#catchUp.changes(firstSeq, changes, bytes);
  }

  /** Whether the server has let us in. */
  get isJoined(): boolean {
    return this.#state.kind === 'joining' || this.#state.kind === 'live';
  }

  /** Confirmed state has moved, or the server said how far it should. */
  #advanced(done: readonly PendingChange[] = []): void {
    const { replica } = this.#copy;
    if (done.length > 0) {
      this.#attempt = 0;
      this.#hooks.confirmed(done);
    }
    if (this.#state.kind === 'joining') {
      const { ch, head, lastN } = this.#state;
      if (this.#catchUp.awaitsSnapshot || replica.seq < head) return;
      const confirmed = this.#copy.caughtUp(lastN);
      this.#attempt = 0;
      this.#enter({ kind: 'live', ch });
      if (confirmed.length > 0) this.#hooks.confirmed(confirmed);
    }
    if (this.#durable && replica.seq >= this.#durable.seq) {
      const confirmed = this.#copy.confirmTo(this.#durable.n);
      this.#durable = null;
      if (confirmed.length > 0) this.#hooks.confirmed(confirmed);
    }
    this.pump();
  }

  /** Sends what is pending, as far as it may go. */
  pump(): void {
    if (this.#state.kind !== 'live' || this.#pause) return;
    const { outbox } = this.#copy.replica;
    if (outbox.inFlight === 0) this.#heard();
    while (outbox.inFlight < IN_FLIGHT_MAX && !this.#link.congested) {
      const change = outbox.takeNext();
      if (!change) return;
      const { n, stamp, body } = change;
      const hlc = { ms: stamp.ms, counter: stamp.counter };
      this.#link.send({ kind: 'change', ch: this.#state.ch, n, hlc, ops: body!, replica: null });
    }
  }

  /** The server refused a change of mine, and with it all that follow. */
  #rejected({ n, code, message, retryAfterMs, replica: of }: Of<'reject'>): void {
    const { replica } = this.#copy;
    // One refusal brings as many as were in flight behind it; those are known already.
    if (of !== replica.id || !replica.outbox.isInFlight(n)) return;
    const behind = replica.outbox.isInFlight(n + 1);
    this.#recall(n);
    if (code === 'not_open') return this.#again();
    const kind = codeClass(code);
    if (kind === 'wait') {
      if (code === 'expired') this.#link.renewToken();
      return this.#wait(retryAfterMs);
    }
    // The subscription's answer says where the numbers are.
    if (code === 'out_of_order') return this.#again();
    this.#holdWhile(() => {
      if (kind === 'restamp') this.#copy.restampFrom(n);
      else if (FOR_ALL.has(code)) this.#copy.refuseFrom(n, code, message);
      else this.#copy.refuse(n, code, message);
    });
    this.#hooks.confirmed([]);
    // Each further refusal waits longer, so that two clocks at odds cannot make a storm.
    if (kind === 'restamp') this.#attempt++;
    if (behind) this.#again(kind === 'restamp' ? this.#backoff() : 0);
    else if (kind === 'restamp') this.#wait(this.#backoff());
    else this.pump();
  }

  /** Edits sealed meanwhile are not sent: their numbers are about to change. */
  #holdWhile(repair: () => void): void {
    const pause = this.#pause;
    this.#pause ??= { cancel() {} };
    repair();
    this.#pause = pause;
  }

  /** Sends nothing for a while; then goes on from the first change that the server has not taken. */
  #wait(retryAfterMs: number | null): void {
    this.#pause?.cancel();
    this.#pause = this.#clock.after(retryAfterMs ?? this.#backoff(), () => {
      this.#pause = null;
      this.pump();
    });
  }
}
