/**
 * One client of a load test: a socket with one page open, as cheap as can be. It follows its page by seq, measures what it is
 * told against the moment when that was due, sends what its author makes, and does what the protocol asks of a client: resumes
 * after a lost connection, sends again what has no answer, asks for what it lacks, waits where it is told to.
 *
 *     away ──join──▶ joining ──at the head──▶ live ──connection lost──▶ away …      stopped: it may not come back
 */
import type { Random } from '../base/random.ts';
import { type Millis, systemClock } from '../base/time.ts';
import { codeClass, mayComeBack } from '../protocol/codes.ts';
import { SendWindow } from '../client/send-window.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import { bytesToId, type PageId, type ReplicaId, seq as toSeq } from '../protocol/ids.ts';
import { type ServerMessage, SERVER_KIND } from '../protocol/messages.ts';
import type { Author } from './author.ts';
import { Cursors } from './cursors.ts';
import { Dialer } from './dialer.ts';
import { Follower } from './follower.ts';
import type { LoadError } from './load-error.ts';
import { opening } from './opening.ts';
import type { ClientPlan, LoadPagePlan } from './orders.ts';
import { WriterOutbox } from './outbox.ts';
import type { Moments } from './shared.ts';
import { clientFrame, type LoadSocket } from './socket.ts';
import type { Tallies } from './tallies.ts';
import { replicaBytes, WireReader } from './wire.ts';

const CH = 1;

/** What the clients of a thread have in common. */
export interface Surroundings {
  readonly url: URL;
  readonly run: string;
  readonly random: Random;
  readonly tallies: Tallies;
  readonly edits: Moments;
  readonly presence: Moments;
  readonly slowBytesPerSecond: number;
  /** The clock that the threads share. */
  now(): Millis;
  isMeasured(dueAt: Millis): boolean;
  /** An edit of this client is durable. */
  acknowledged(client: LoadClient): void;
}

const reader = new WireReader();

export class LoadClient {
  readonly plan: ClientPlan;
  readonly author: Author | null;
  readonly outbox = new WriterOutbox();
  readonly #page: LoadPagePlan;
  readonly #world: Surroundings;
  readonly #replica: ReplicaId;
  readonly #follower: Follower;
  readonly #cursors: Cursors;
  readonly #dialer: Dialer;
  state: 'away' | 'joining' | 'live' | 'stopped' = 'away';
  silencedBy: string | null = null;
  /** Why it may not come back. */
  stoppedBy: string | null = null;
  #joinDueAt: Millis = 0;
  /** Who comes anew does not count what the others did before it was there. */
  #countsFrom: Millis = 0;
  #clockOffsetMs: Millis = 0;
  #pausedUntilRetry = false;
  /** Once it was refused for the rate it sends as the SDK does; before that, as fast as it is asked to. */
  #window: SendWindow | null = null;
  #settled: (() => void)[] = [];

  constructor(plan: ClientPlan, page: LoadPagePlan, author: Author | null, world: Surroundings) {
    this.plan = plan;
    this.author = author;
    this.#page = page;
    this.#world = world;
    this.#replica = bytesToId<ReplicaId>(replicaBytes(world.run, plan.number));
    this.#cursors = new Cursors(plan.number, world.presence);
    this.#dialer = new Dialer(world.url, plan.token, world.random, {
      opened: (socket) => this.#opened(socket),
      message: (bytes, from, to) => this.#message(bytes, from, to),
      lost: (code, reason) => this.#lost(code, reason),
      failed: (error) => this.#failed(error),
    });
    const { tallies } = world;
    this.#follower = new Follower(page, plan.number, {
      seen: (writer, n) => this.#saw(writer, n),
      wrong: (what) => tallies.counts[what]++,
      own: (n) => this.#acknowledge(n),
      volatile: () => tallies.counts.volatile++,
      withdrawn: (count) => (tallies.counts.withdrawn += count),
      gap: (seq) => this.#askForGap(seq),
    });
  }

  /** Opens the page; `fresh`: as somebody who has never seen it. Resolves when it is live, or never will be. */
  join(dueAt: Millis, fresh = false): Promise<void> {
    if (fresh) {
      this.#follower.forget();
      this.#countsFrom = Infinity;
    }
    this.#joinDueAt = dueAt;
    this.state = 'joining';
    void this.#dialer.dial();
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  #opened(socket: LoadSocket): void {
    this.#follower.begin();
    this.#pausedUntilRetry = false;
    const { seq, epoch } = this.#follower;
    const from = epoch === null ? null : { since: toSeq(seq), epoch };
    socket.write(opening(this.#replica, this.#page.id as PageId, from, null));
    if (this.plan.kind !== 'slow') return;
    socket.throttle(this.#world.slowBytesPerSecond);
    this.#settle();
  }

  #failed(error: LoadError): void {
    this.#world.tallies.close('no connection');
    if (error.retry || this.seq > 0 || this.#dialer.hasFailed) this.#comeBack(null);
    else this.#stop(error.message);
  }

  /** Drops its connection without a word. */
  leave(): void {
    this.#dialer.hangUp();
    if (this.state !== 'stopped') this.state = 'away';
  }

  #lost(code: number, reason: string): void {
    this.#world.tallies.close(code);
    if (!mayComeBack(code)) return this.#stop(`the server closed the socket with ${code}${reason ? `: ${reason}` : ''}`);
    this.#world.tallies.counts.reconnects++;
    if (this.state === 'live') this.#joinDueAt = this.#world.now();
    this.#comeBack(null);
  } // prettier-ignore

  #comeBack(afterMs: Millis | null): void {
    this.state = 'joining';
    this.#dialer.dialAfter(afterMs);
  }

  #stop(why: string): void {
    this.leave();
    this.state = 'stopped';
    this.stoppedBy = why;
    this.#settle();
  }

  #settle(): void {
    for (const resolve of this.#settled.splice(0)) resolve();
  }

  /** Where it stands in the page's log. */
  get seq(): number {
    return this.#follower.seq;
  }

  /** Makes the edit that was due. */
  edit(dueAt: Millis): void {
    const { author, outbox } = this;
    if (!author || this.silencedBy !== null || this.state === 'stopped') return;
    const { tallies, edits, isMeasured, now } = this.#world;
    if (outbox.pending >= edits.ring - 1) {
      if (isMeasured(dueAt)) tallies.counts.unsent++;
      return;
    }
    const n = outbox.add(author.edit(), systemClock.now() + this.#clockOffsetMs);
    edits.set(this.plan.number, n, dueAt);
    this.#flush();
    if (!isMeasured(dueAt)) return;
    tallies.counts.made++;
    tallies.measured('late', now() - dueAt);
  }

  #flush(): void {
    if (this.state !== 'live' || this.#pausedUntilRetry || this.outbox.sent === this.outbox.made) return;
    const frames = this.outbox.takeUnsent(this.#window?.size);
    if (frames.length === 0) return;
    this.#dialer.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  showPresence(dueAt: Millis): void {
    if (this.state !== 'live') return;
    this.#dialer.write(this.#cursors.move(dueAt, this.author));
    const { tallies, isMeasured } = this.#world;
    if (isMeasured(dueAt)) tallies.counts.presenceSent++;
  }

  #message(bytes: Uint8Array, from: number, to: number): void {
    this.#world.tallies.counts.frames++;
    switch (bytes[from + 1]) {
      case SERVER_KIND.changes:
        this.#follower.changes(bytes, from, to, this.state === 'live');
        return this.#arrived();
      case SERVER_KIND.committed:
        this.#follower.committed(bytes, from);
        return this.#arrived();
      case SERVER_KIND.presence:
        return this.#othersMoved(bytes, from);
      case SERVER_KIND.snapshot:
        this.#follower.snapshot(bytes, from);
        return this.#arrived();
      case SERVER_KIND.hash:
        return;
      default: {
        const message = decodeServerMessage(bytes.slice(from, to));
        // A kind of a newer server.
        if (!isMalformed(message)) this.#rare(message);
      }
    }
  }

  #rare(message: ServerMessage): void {
    switch (message.kind) {
      case 'welcome':
        this.#clockOffsetMs = message.time - systemClock.now();
        return;
      case 'subscribed':
        return this.#subscribed(message);
      case 'ack':
        if (message.replica === this.#replica) this.#acknowledge(message.n);
        return;
      case 'reject':
        return this.#rejected(message);
      case 'error':
        return this.#refused(message);
      case 'notice':
        return this.#world.tallies.refusal(`notice ${message.code}`);
      case 'goaway':
        this.#joinDueAt = this.#world.now() + message.afterMs;
        this.#world.tallies.counts.reconnects++;
        return this.#comeBack(message.afterMs);
    }
  }

  #subscribed({ head, lastN, epoch, role }: ServerMessage & { kind: 'subscribed' }): void {
    if (this.author && role !== 'owner' && role !== 'editor') this.silencedBy ??= `forbidden (the token’s role is ${role})`;
    if (this.state === 'live') this.#world.tallies.counts.leftBehind++;
    this.#follower.subscribed(head, epoch);
    this.#acknowledge(lastN);
    if (this.state === 'live') return;
    this.outbox.rewind(lastN + 1);
    this.#arrived();
  } // prettier-ignore

  /** Looks whether it has come to where the page was when it was opened. */
  #arrived(): void {
    if (this.state !== 'joining' || !this.#follower.isThere) return;
    this.state = 'live';
    this.#dialer.succeeded();
    const { tallies, isMeasured, now } = this.#world;
    if (this.#countsFrom === Infinity) this.#countsFrom = now();
    if (this.plan.kind !== 'slow' && isMeasured(this.#joinDueAt)) {
      tallies.counts.joins++;
      tallies.measured('join', now() - this.#joinDueAt);
    }
    this.#settle();
    this.#flush();
  }

  #askForGap(since: number): void {
    this.#world.tallies.counts.gaps++;
    this.#dialer.write(clientFrame(encodeClientMessage({ kind: 'sync', ch: CH, since: toSeq(since) })));
  }

  #othersMoved(bytes: Uint8Array, from: number): void {
    reader.begin(bytes, from + 20);
    const { tallies, isMeasured, now } = this.#world;
    this.#cursors.hear(reader, (dueAt) => {
      if (!isMeasured(dueAt) || dueAt < this.#countsFrom || this.plan.kind === 'slow') return;
      tallies.counts.presenceSeen++;
      tallies.measured('presence', now() - dueAt);
    });
  }

  #saw(local: number, n: number): void {
    // Slow readers see late because they read late; what they do to the others is the question.
    if (this.plan.kind === 'slow') return;
    const { tallies, edits, isMeasured } = this.#world;
    const dueAt = edits.get(this.#page.firstWriter + local, n);
    if (!(dueAt >= this.#countsFrom)) return;
    const now = this.#world.now();
    if (isMeasured(now)) tallies.counts.delivered++;
    if (!isMeasured(dueAt)) return;
    tallies.counts.seen++;
    tallies.measured('seen', now - dueAt);
  }

  #acknowledge(n: number): void {
    const { tallies, edits, isMeasured, acknowledged } = this.#world;
    const now = this.#world.now();
    const isInTime = isMeasured(now);
    this.outbox.acknowledge(n, (each) => {
      this.#window?.grow();
      if (isInTime) tallies.counts.durable++;
      const dueAt = edits.get(this.plan.number, each);
      if (isMeasured(dueAt)) {
        tallies.counts.accepted++;
        tallies.measured('accepted', now - dueAt);
      }
      acknowledged(this);
    });
    if (this.#window) this.#flush();
  }

  /** The lowest refused number counts: see `docs/protocol.md`, part 8. */
  #rejected({ n, code, retryAfterMs, replica }: ServerMessage & { kind: 'reject' }): void {
    this.#world.tallies.refusal(code);
    const { outbox } = this;
    if (replica !== this.#replica || n <= outbox.acknowledged || n > outbox.sent) return;
    const kind = codeClass(code);
    if (code === 'out_of_order') {
      // With nothing lower refused the count is not the server's: it tells its own when the page is opened again.
      if (!this.#pausedUntilRetry) this.#comeBack(null);
      return;
    }
    if (kind !== 'wait') {
      this.silencedBy ??= code;
      return;
    }
    outbox.rewind(n);
    this.#pausedUntilRetry = true;
    const { attempt } = this.#dialer;
    this.#window ??= new SendWindow();
    systemClock.after(this.#window.shrink(retryAfterMs, this.#world.random), () => {
      if (attempt !== this.#dialer.attempt) return;
      this.#pausedUntilRetry = false;
      this.#flush();
    });
  }

  #refused({ code, message, ch, retryAfterMs }: ServerMessage & { kind: 'error' }): void {
    this.#world.tallies.refusal(code);
    // Of presence and of SYNC; the page stays open.
    if (code === 'rate') {
      this.#follower.askAgain();
      return;
    }
    if (codeClass(code) === 'wait') return this.#comeBack(retryAfterMs);
    if (this.state === 'joining' || ch === null) this.#stop(`${code}: ${message}`);
    else this.silencedBy ??= code;
  }
}
