/**
 * The bus on Redis pub/sub: a channel for each page. Ids of pages are unique, so installations may share a Redis; copies of one
 * database have the same pages, and are told apart by who reads the messages, by the epoch in them.
 *
 *     waiting ──▶ opening ──connected, subscribed──▶ open: up as long as its own beats come back
 *        ▲           └─ fails, or OPEN_TIMEOUT_MS ─┐        │
 *        └──── back-off, jitter, for ever ◀────────┴────────┴─ a connection ended, or no beat for too long
 *
 * A link that fails is thrown away whole and another one is made; when that hears again, `ready` says so. Nothing is kept
 * for later: what cannot be sent at once is dropped, and so is what comes when Redis has not taken the last few MiB.
 *
 *     channel  octavo:{topic}:{page}           payload  version, sender (8 bytes), the message
 *     channel  octavo:{topic}:{sender}:{i}     payload  number of the beat (4 bytes)
 *
 * Each topic has connections of its own: what Redis holds for a slow listener, and when it throws it out, goes by connection.
 */
import type { Log } from '../base/log.ts';
import { backoffMs, type Random } from '../base/random.ts';
import { type Clock, type Millis, type Timer, withTimeout } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';
import type { Bus, BusEvents, BusTopic, OpenBus } from './bus.ts';
import { Heartbeat } from './heartbeat.ts';
import type { RedisAddress } from './redis-address.ts';
import { RedisLink } from './redis-link.ts';

export interface RedisBusOptions {
  readonly address: RedisAddress;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const OPEN_TIMEOUT_MS: Millis = 5000;
const RETRY_MS = { first: 50, max: 2000 };
/** Handed to a connection and not yet taken by Redis, with what each message costs besides its bytes. */
const UNTAKEN_BYTES_MAX = 4 << 20;
const MESSAGE_OVERHEAD_BYTES = 512;

const VERSION = 1;
const SENDER_BYTES = 8;
const HEADER_BYTES = 1 + SENDER_BYTES;

export function redisBus(options: RedisBusOptions): OpenBus {
  return (topic, events) => new RedisBus(options, topic, events);
}

/** `heartbeat`: from when its subscriptions are made. */
interface Course {
  readonly link: RedisLink;
  heartbeat: Heartbeat | null;
  untakenBytes: number;
}

class RedisBus implements Bus {
  readonly #options: RedisBusOptions;
  readonly #events: BusEvents;
  readonly #topic: BusTopic;
  readonly #prefix: string;
  readonly #sender: Buffer;
  readonly #pages = new Set<PageId>();
  /** The link that is opened or open; null: waiting for the next attempt. */
  #course: Course | null = null;
  #isUp = false;
  #attempt = 0;
  #timer: Timer | undefined;
  #closed = false;
  /** Whether the outage that lasts has been told. */
  #told = false;

  constructor(options: RedisBusOptions, topic: BusTopic, events: BusEvents) {
    this.#options = options;
    this.#events = events;
    this.#topic = topic;
    this.#prefix = `octavo:${topic}:`;
    this.#sender = Buffer.from(options.random.bytes(SENDER_BYTES));
    this.#open();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  // ── the link ───────────────────────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    const link = new RedisLink(this.#options.address, {
      message: (channel, payload) => this.#received(course, channel, payload),
      lost: (reason) => this.#lost(course, reason),
    });
    const course: Course = { link, heartbeat: null, untakenBytes: 0 };
    this.#course = course;
    const late = () => new Error(`no answer within ${OPEN_TIMEOUT_MS} ms`);
    withTimeout(this.#join(course), OPEN_TIMEOUT_MS, late).catch((error: unknown) =>
      this.#lost(course, error instanceof Error ? error.message : String(error)),
    );
  } // prettier-ignore

  async #join(course: Course): Promise<void> {
    const { link } = course;
    await link.open();
    if (this.#course !== course) return;
    const sender = this.#sender.toString('hex');
    const channels = link.probes((index) => `${this.#prefix}${sender}:${index}`);
    course.heartbeat = new Heartbeat({
      clock: this.#options.clock,
      channels,
      send: (channel, beat) => this.#sendBeat(course, channel, beat),
      changed: (isUp) => this.#changed(isUp),
      dead: () => this.#lost(course, 'no answer'),
    });
    // Pages that are followed from here on send their own SUBSCRIBE, behind this one.
    await link.subscribe([...channels, ...[...this.#pages].map((page) => this.#prefix + page)]);
    if (this.#course === course) course.heartbeat.start();
  }

  #sendBeat(course: Course, channel: string, beat: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(beat);
    course.link.publish(channel, payload).catch((error: Error) => this.#lost(course, error.message));
  }

  #changed(isUp: boolean): void {
    this.#isUp = isUp;
    if (!isUp) return this.#tellOutage('no answer');
    this.#attempt = 0;
    if (this.#told) this.#tell({}, 'info', 'Redis is back: nodes hear of each other at once again');
    this.#told = false;
    this.#events.ready();
  }

  #lost(course: Course, reason: string): void {
    if (this.#course !== course) return;
    this.#leave();
    this.#tellOutage(reason);
    const delayMs = backoffMs(this.#options.random, this.#attempt++, RETRY_MS.first, RETRY_MS.max);
    this.#timer = this.#options.clock.after(delayMs, () => this.#open());
  }

  /** Once an outage, however often it is tried. */
  #tellOutage(reason: string): void {
    if (this.#told) return;
    this.#told = true;
    this.#tell({ reason }, 'warn', 'Redis is away: nodes hear of each other by the database, less soon');
  }

  /** For all topics of a shard one tells. */
  #tell(fields: object, level: 'info' | 'warn', message: string): void {
    const { log } = this.#options;
    if (this.#topic === 'changes') log[level](fields, message);
    else log.debug({ ...fields, topic: this.#topic }, message);
  }

  #leave(): Promise<void> {
    const course = this.#course;
    this.#course = null;
    this.#isUp = false;
    course?.heartbeat?.stop();
    return course?.link.close() ?? Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#leave();
  }

  // ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  subscribe(page: PageId): void {
    this.#pages.add(page);
    const course = this.#course;
    // Before its heartbeat exists the link subscribes to all pages by itself.
    if (!course?.heartbeat) return;
    course.link.subscribe([this.#prefix + page]).then(
      () => this.#course === course && this.#pages.has(page) && this.#events.following(page),
      (error: Error) => this.#lost(course, error.message),
    );
  }

  unsubscribe(page: PageId): void {
    if (this.#pages.delete(page) && this.#course?.heartbeat) {
      this.#course.link.unsubscribe(this.#prefix + page);
    }
  }

  publish(page: PageId, payload: Uint8Array): boolean {
    const course = this.#course;
    if (!course?.heartbeat || this.#closed) return false;
    const cost = HEADER_BYTES + payload.length + MESSAGE_OVERHEAD_BYTES;
    if (course.untakenBytes + cost > UNTAKEN_BYTES_MAX) return false;
    const message = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
    message[0] = VERSION;
    message.set(this.#sender, 1);
    message.set(payload, HEADER_BYTES);
    course.untakenBytes += cost;
    // Refused or not: nobody has it any more. What was lost is found in the log.
    const taken = () => void (course.untakenBytes -= cost);
    course.link.publish(this.#prefix + page, message).then(taken, taken);
    return true;
  }

  #received(course: Course, channel: string, payload: Uint8Array): void {
    if (this.#course !== course) return;
    const page = channel.slice(this.#prefix.length) as PageId;
    if (this.#pages.has(page)) {
      if (payload.length < HEADER_BYTES || payload[0] !== VERSION) return;
      if (this.#sender.equals(payload.subarray(1, HEADER_BYTES))) return;
      // A copy: the view would hold on to all that was read with it.
      this.#events.message(page, new Uint8Array(payload.subarray(HEADER_BYTES)));
    } else if (payload.length === 4) {
      course.heartbeat?.answered(channel, Buffer.from(payload).readUInt32BE());
    }
  }
}
