/**
 * What a reader is sent to bring it up to the page: the cached snapshot in parts where it needs one (packed once, for all
 * joiners), then the changes after it. A little goes at once. More is only offered, and goes in windows of about one
 * SNAPSHOT part as the reader has room for them; until then a reader costs its place in the page, and no copy.
 *
 *      start ──little──▶ sent                 start ──more──▶ offered ◀──pull: a window, and more is left
 *                                                               └──pull: the rest──▶ done
 *
 * What was told before its commit goes the same way: a little right after SUBSCRIBED, more after the rest.
 * Frames of the page that are published meanwhile overtake this. The log may let go of what a slow reader needs next; then
 * it gets a newer snapshot. It never holds on to more than the newest snapshot and the one before.
 */
import type { Millis } from '../base/time.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import type { PageId, Seq } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { ENCODING } from '../protocol/messages.ts';
import type { Audience } from './audience.ts';
import type { Fuse } from './fuse.ts';
import type { PageState } from './page-state.ts';
import { changesFrame } from './telling.ts';
import type { StoredChange } from '../persistence/log-store.ts';
import type { ActorWorld, CachedSnapshot, SubscribeRequest, Subscriber } from './world.ts';

/** This much goes without being asked for. */
const AT_ONCE_BYTES = 4096;
/** A window that has come so far takes no other frame. */
const WINDOW_ENOUGH_BYTES = WIRE.snapshotPartBytes / 4;

/** Where a reader stands. */
interface Course {
  readonly ch: number;
  /** The snapshot that it is being sent, and which part is next. */
  snapshot: CachedSnapshot | null;
  part: number;
  /** What it has; null: nothing. */
  position: Seq | null;
  /** Where it will be done: later changes were published to it. */
  to: Seq;
  /** What it is waited for; null: nothing that is counted. */
  readonly join: Join | null;
}

/** One who comes to the page, not one who is on it and lacks something. */
interface Join {
  readonly at: Millis;
  readonly isBack: boolean;
}

/** Where a reader stands in what the page was told before its commit. */
interface Telling {
  readonly ch: number;
  /** The last that it was sent; null: none yet. */
  after: StoredChange | null;
  /** Where it will be done: later ones were published to it. */
  readonly to: StoredChange;
}

/** Whether the client stands at a place of this log. */
export const follows = ({ since, epoch }: SubscribeRequest, { head, epoch: own }: PageState) =>
  (epoch === null || epoch === own) && (since === null || since <= head);

export class Joining {
  readonly #page: PageId;
  readonly #world: ActorWorld;
  readonly #state: PageState;
  readonly #audience: Audience;
  readonly #fuse: Fuse;
  #courses: Map<number, Course> | null = null;
  #telling: Map<number, Telling> | null = null;

  constructor(page: PageId, world: ActorWorld, state: PageState, audience: Audience, fuse: Fuse) {
    this.#page = page;
    this.#world = world;
    this.#state = state;
    this.#audience = audience;
    this.#fuse = fuse;
  }

  /** One who has everything up to `since` (null: nothing) comes to the page, for which it asked at `at`. */
  join(subscriber: Subscriber, since: Seq | null, at: Millis): void {
    this.#audience.add(subscriber);
    this.#greet(subscriber);
    this.start(subscriber, since, { at, isBack: since !== null });
    this.#audience.joinTopic(subscriber);
    const { connection, role } = subscriber;
    this.#world.log.debug(
      { page: this.#page, connection, role, seq: this.#state.head },
      'a client came to a page',
    );
  }

  #greet(subscriber: Subscriber): void {
    const { connection, ch, role, replica } = subscriber;
    const { head, epoch } = this.#state;
    const { lastN = 0, lastHlc = null } = this.#state.replica(replica) ?? {};
    this.#world.send(
      connection,
      encodeServerMessage({ kind: 'subscribed', ch, role, head, lastN, epoch, lastHlc }),
    );
    // Before the bulk, which may wait: a list that comes late would undo what was shown since.
    this.#audience.introduce(subscriber);
    this.#telling?.delete(connection);
    if (this.#fuse.toldBytes === 0) return;
    const course: Telling = { ch, after: null, to: this.#fuse.newestTold! };
    if (this.#fuse.toldBytes <= AT_ONCE_BYTES) while (this.#tellNext(connection, course) > 0);
    else {
      (this.#telling ??= new Map()).set(connection, course);
      this.#world.offerBulk(connection, ch);
    }
  }

  /** Sends the next frame of what was told before its commit; its bytes, or 0 when all of it was sent, or is committed. */
  #tellNext(connection: number, course: Telling): number {
    const next = this.#fuse.toldAfter(course.after, course.to);
    if (!next) return 0;
    course.after = next.last;
    this.#world.sendBulk(connection, next.frame);
    return next.frame.length;
  }

  /** A reader that had to be left behind follows the page again; where it stands only itself knows. */
  resume(connection: number): void {
    const subscriber = this.#audience.get(connection);
    if (!subscriber) return;
    this.#greet(subscriber);
    // The newest change shows it the gap. Where the log is not held, what it lacks can only be a snapshot.
    const { newest } = this.#state.recent;
    if (newest) this.#world.sendBulk(connection, changesFrame(this.#page, [newest]).frame);
    else if (this.#state.head > 0) this.start(subscriber, null);
    this.#audience.joinTopic(subscriber);
  }

  /** Brings a reader that has everything up to `since` (null: nothing) to the head, from now on. */
  start({ connection, ch }: Subscriber, since: Seq | null, join: Join | null = null): void {
    const { snapshot, entries } = this.#state.catchUp(since);
    this.#world.counts.catchUp(snapshot ? 'snapshot' : 'tail');
    this.#courses?.delete(connection);
    const course: Course = { ch, snapshot, part: 0, position: since, to: this.#state.head, join };
    let bytes = snapshot?.body.length ?? 0;
    for (const entry of entries) bytes += entry.body.length;
    if (bytes <= AT_ONCE_BYTES) {
      while (this.#sendNext(connection, course) > 0);
      return this.#done(course);
    }
    (this.#courses ??= new Map()).set(connection, course);
    this.#world.offerBulk(connection, ch);
  }

  #done({ join }: Course): void {
    const { clock, counts } = this.#world;
    if (join) counts.joined(join.isBack, clock.monotonic() - join.at);
  }

  /** The reader has room for a window. */
  pull(connection: number): void {
    const course = this.#courses?.get(connection);
    const telling = this.#telling?.get(connection);
    if (!course && !telling) return;
    for (let sent = 0; sent < WINDOW_ENOUGH_BYTES;) {
      const bytes =
        (course && this.#sendNext(connection, course)) ||
        (telling && this.#tellNext(connection, telling)) ||
        0;
      if (bytes === 0) {
        if (course) this.#done(course);
        return this.forget(connection);
      }
      sent += bytes;
    }
    this.#world.offerBulk(connection, (course ?? telling)!.ch);
  }

  /** Sends the next frame; its bytes, or 0 when there is none. */
  #sendNext(connection: number, course: Course): number {
    if (!course.snapshot) {
      const { snapshot, after, entries } = this.#state.catchUp(course.position);
      if (!snapshot) {
        if (entries.length === 0 || after >= course.to) return 0;
        const { frame, last } = changesFrame(this.#page, entries);
        course.position = last;
        this.#world.sendBulk(connection, frame);
        return frame.length;
      }
      course.snapshot = snapshot;
      course.part = 0;
    }
    const { seq, body } = course.snapshot;
    const parts = Math.max(1, Math.ceil(body.length / WIRE.snapshotPartBytes));
    const part = course.part++;
    const bytes = body.subarray(part * WIRE.snapshotPartBytes, (part + 1) * WIRE.snapshotPartBytes);
    const encoding = ENCODING.zlib;
    const message = { kind: 'snapshot', ch: course.ch, seq, encoding, part, parts, bytes } as const;
    if (course.part === parts) {
      course.position = seq;
      course.snapshot = null;
    }
    const frame = encodeServerMessage(message);
    this.#world.sendBulk(connection, frame);
    return frame.length;
  }

  /** A snapshot has been stored: who still reads one older than that before it begins again, with the newest. */
  snapshotSaved(snapshot: CachedSnapshot): void {
    const oldest = this.#state.snapshot?.seq ?? 0;
    this.#state.snapshotSaved(snapshot);
    for (const course of this.#courses?.values() ?? []) {
      if (!course.snapshot || course.snapshot.seq >= oldest) continue;
      course.snapshot = null;
      course.position = null;
    }
  }

  forget(connection: number): void {
    this.#courses?.delete(connection);
    if (this.#courses?.size === 0) this.#courses = null;
    this.#telling?.delete(connection);
    if (this.#telling?.size === 0) this.#telling = null;
  }
}
