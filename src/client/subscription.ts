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
import type { ServerMessage, WireStamp } from '../protocol/messages.ts';
import { CatchUp } from './catch-up.ts';
import { ABOUT_PRESENCE, FOR_ALL, OctavoError } from './errors.ts';
import type { Link } from './link.ts';
import type { PendingChange } from './outbox.ts';
import type { Unpack } from './snapshot-parts.ts';
import { SendWindow } from './send-window.ts';
import type { SubscriptionHooks } from './subscription-hooks.ts';
import { VolatileNews } from './volatile-news.ts';
import type { WorkingCopy } from './working-copy.ts';

type State =
  | { kind: 'away' }
  | { kind: 'asking'; ch: number }
  | { kind: 'joining'; ch: number; head: Seq; last: { n: number; hlc: WireStamp | null } | null }
  | { kind: 'live'; ch: number }
  | { kind: 'waiting'; timer: Timer }
  | { kind: 'over' };

/** Without any word on the page while we wait for one: subscribe again. */
const PATIENCE_MS: Millis = 20_000;
const GROUND_RETRY_MS: Millis = 1000;
const RETRY_MS = { first: 200, max: 10_000 };

type Of<Kind extends ServerMessage['kind']> = Extract<ServerMessage, { kind: Kind }>;

export class Subscription {
  readonly #page: PageId;
  readonly #link: Link;
  readonly #copy: WorkingCopy;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hooks: SubscriptionHooks;
  readonly #catchUp: CatchUp;
  readonly #window = new SendWindow();
  readonly #volatile: VolatileNews;
  #create: string | null;
  #state: State = { kind: 'away' };
  #epoch: EpochId | null = null;
  /** What confirmed state holds is not to be trusted. */
  #anew = false;
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
    unpack: Unpack,
    hooks: SubscriptionHooks,
  ) {
    [this.#page, this.#create] = [page, create];
    this.#link = link;
    this.#copy = copy;
    [this.#clock, this.#random, this.#hooks] = [clock, random, hooks];
    this.#volatile = new VolatileNews(copy, clock);
    this.#catchUp = new CatchUp(page, copy, unpack, {
      sync: (since) => this.ch !== null && link.send({ kind: 'sync', ch: this.ch, since }),
      advanced: (confirmed) => this.#advanced(confirmed),
      // Those that it holds are sent again too, and acknowledged as duplicates.
      jumped: () => this.#copy.replica.outbox.recallFrom(0),
      damaged: () => this.#again(),
      unreadable: (why) => this.refuse(new OctavoError('unsupported', `the page cannot be read: ${String(why)}`)), // prettier-ignore
    });
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
    const since = this.#copy.replica.seq > 0 && !this.#anew ? this.#copy.replica.seq : null;
    const [epoch, create] = [this.#epoch, this.#create];
    this.#link.send({ kind: 'subscribe', ch, page: this.#page, since, epoch, create });
    this.#heard();
  }

  /** Takes the page anew from the server, as if nothing of it were here; what is pending stays. */
  takeAnew(): void {
    this.#anew = true;
    if (this.ch !== null) this.subscribe();
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
    this.#volatile.stop();
    this.#catchUp.clear();
    this.#durable = null;
    this.#deadline = Infinity;
    this.#copy.replica.outbox.recallFrom(0);
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

  #subscribed({ role, head, lastN, lastHlc, epoch, ch }: Of<'subscribed'>): void {
    if (this.isJoined) return this.#resumed(head);
    if (this.#state.kind !== 'asking') return;
    const named = this.#link.named(this.#copy.replica.id);
    const other = (this.#epoch !== null && this.#epoch !== epoch) || this.#copy.replica.seq > head;
    // Where another log stands with this replica nobody says, unless it is HELLO's.
    if (other && named) this.#copy.refuseAll('missing', 'the log is another one');
    if (other || this.#anew) this.#copy.startOver();
    this.#anew = false;
    this.#epoch = epoch;
    this.#create = null;
    this.#volatile.restart(head);
    this.#enter({ kind: 'joining', ch, head, last: named ? null : { n: lastN, hlc: lastHlc } });
    this.#catchUp.promised(head);
    this.#hooks.role(role);
    this.#hooks.subscribed();
    this.#advanced();
  }

  /** We were too slow to follow the page for a while, and follow it again: who is here and what was written is news. */
  #resumed(head: Seq): void {
    this.#volatile.restart(head);
    this.#hooks.subscribed();
    if (head > this.#copy.replica.seq) this.#catchUp.ask();
  }

  #failed({ code, message, retryAfterMs }: Of<'error'>): void {
    if (code === 'expired') this.#link.renewToken();
    // Of a presence state that was not taken: the page stays open.
    if (code === 'rate' && this.isLive && !this.#catchUp.isSyncing)
      return this.#hooks.presenceSlowed(retryAfterMs ?? this.#backoff());
    if (this.isLive && ABOUT_PRESENCE.has(code)) return;
    const lostTrack = code === 'not_open' || code === 'already_open';
    if (codeClass(code) !== 'final' || lostTrack) return this.#again(retryAfterMs ?? this.#backoff());
    this.refuse(new OctavoError(code, message));
  }

  /** A frame of changes; `bytes` is about its size. */
  receiveChanges({ firstSeq, changes }: Of<'changes'>, bytes: number): void {
    if (changes.length === 0 || !this.isJoined) return;
    this.#heard();
    if (firstSeq === 0) return (this.#volatile.heard(changes), this.pump());
    this.#volatile.reached(firstSeq + changes.length - 1);
    this.#catchUp.changes(firstSeq, changes, bytes);
  }

  /** Names of changes that were told before their commit: the log has them now, or (0) will not have them. */
  receiveNames({ firstSeq, changes: names }: Of<'committed'>): void {
    if (names.length === 0 || !this.isJoined) return;
    this.#heard();
    if (firstSeq === 0) {
      // Mine, taken in by a node that is gone: whoever answers a new subscription says what became of it.
      return this.#volatile.withdrawn(names) ? this.#again(0) : undefined;
    }
    this.#volatile.reached(firstSeq + names.length - 1);
    this.#catchUp.names(firstSeq, names);
  }

  /** Whether the server has let us in. */
  get isJoined(): boolean {
    return this.#state.kind === 'joining' || this.#state.kind === 'live';
  }

  /** Confirmed state has moved, or the server said how far it should. */
  #advanced(done: readonly PendingChange[] = []): void {
    const { replica } = this.#copy;
    const displaced = replica.outbox.takeDisplaced() && this.isLive;
    if (done.length > 0) {
      this.#window.grow();
      this.#attempt = 0;
      this.#hooks.confirmed(done);
    }
    // What is on its way has numbers of before; behind the one that is refused the server takes none on this ch.
    if (displaced) return this.#again(0);
    if (this.#state.kind === 'joining') {
      const { ch, head, last } = this.#state;
      if (this.#catchUp.awaitsSnapshot || replica.seq < head) return;
      const confirmed = this.#copy.caughtUp(last);
      this.#attempt = 0;
      this.#enter({ kind: 'live', ch });
      if (confirmed.length > 0) this.#hooks.confirmed(confirmed);
    }
    if (this.#durable && replica.seq >= this.#durable.seq) {
      const confirmed = this.#copy.confirmTo(this.#durable.n, null);
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
    // What the page was told of mine is with the server to stay: a stall of its database does not stop who writes.
    const { takenN } = this.#volatile;
    const mayGo = () => outbox.inFlight < outbox.length && outbox.inFlightAfter(takenN) < this.#window.size;
    while (mayGo() && !this.#link.congested) {
      if (this.#volatile.awaitsGround(outbox.next)) return this.#wait(GROUND_RETRY_MS);
      const waitMs = this.#link.takeChange();
      if (waitMs > 0) return this.#wait(waitMs);
      const { n, stamp: { ms, counter, replica }, body } = outbox.takeNext()!; // prettier-ignore
      this.#link.send({ kind: 'change', ch: this.#state.ch, n, hlc: { ms, counter }, ops: body!, replica: this.#link.named(replica) }); // prettier-ignore
    }
  }

  /** The server refused a change of mine, and with it all that follow. */
  #rejected({ n, code, message, retryAfterMs, replica: of }: Of<'reject'>): void {
    const { replica } = this.#copy;
    // One refusal brings as many as were in flight behind it; those are known already.
    if (of !== replica.id || !replica.outbox.isInFlight(n)) return;
    const behind = replica.outbox.isInFlight(n + 1);
    this.#copy.replica.outbox.recallFrom(n);
    if (code === 'not_open') return this.#again();
    const kind = codeClass(code);
    if (kind === 'wait') {
      if (code === 'expired') this.#link.renewToken();
      return this.#wait(code === 'rate' ? this.#window.shrink(retryAfterMs, this.#random) : retryAfterMs);
    }
    // The subscription's answer says where the numbers are.
    if (code === 'out_of_order') return (replica.outbox.missedFrom(n), this.#again());
    if (code === 'missing' && this.#volatile.mayComeBack) return this.#again(GROUND_RETRY_MS);
    this.#holdWhile(() => {
      if (kind === 'restamp') this.#copy.restampFrom(n);
      else if (FOR_ALL.has(code)) this.#copy.refuseFrom(n, code, message);
      else this.#copy.refuse(n, code, message);
    });
    this.#hooks.confirmed([]);
    if (kind !== 'restamp') return behind ? this.#again(0) : this.pump();
    // Each further refusal waits longer, so that two clocks at odds cannot make a storm. The server's may have stepped back.
    this.#attempt++;
    this.#link.ping();
    return behind ? this.#again() : this.#wait(this.#backoff());
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
