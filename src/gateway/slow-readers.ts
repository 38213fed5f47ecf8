/**
 * Sockets that do not read as fast as their pages are written. What was published for such a socket and dropped by the
 * transport is not missed by anybody but it, so nobody waits and nothing is kept for it:
 *
 *      following ──a frame was dropped──▶ paused ──all that was held is written──▶ following
 *                                           └──nothing was written for 30 s──▶ closed: 4001, come back
 *
 * While paused it is on no page's topic; answers to what it sends, its own changes too, go on. Following again it is told
 * where each page stands (SUBSCRIBED), and asks for what it lacks with its own position (SYNC): changes, or a fresh
 * snapshot when that is all there is. At most one round a second.
 */
import type { Clock } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';
import type { Connection, OpenPage } from './connection.ts';

/** Of what may be held for a socket: less than this is as good as nothing. */
const LOW_SHARE = 1 / 16;
const STALLED_MS = 30_000;
const PAUSE_MIN_MS = 1000;

export interface SlowReaderOptions {
  readonly clock: Clock;
  readonly bytesMax: number;
  /** Tells the page's shard that this socket reads again. */
  resume(connection: Connection, page: OpenPage): void;
  /** It does not read at all. */
  close(connection: Connection): void;
  readonly counts: { paused(): void; resumed(): void };
}

interface Watch {
  /** Since when the socket is off the topics of its pages; null: it is not. */
  pausedAt: number | null;
  /** When something of what is held was last written. */
  writtenAt: number;
}

export class SlowReaders {
  readonly #options: SlowReaderOptions;
  readonly #watched = new Map<Connection, Watch>();

  constructor(options: SlowReaderOptions) {
    this.#options = options;
  }

  /** Sockets that are off their pages' topics just now. */
  get paused(): number {
    let count = 0;
    for (const { pausedAt } of this.#watched.values()) if (pausedAt !== null) count++;
    return count;
  }

  isPaused(connection: Connection): boolean {
    return (this.#watched.get(connection)?.pausedAt ?? null) !== null;
  }

  /** The shard's word that the socket follows the page from here on. */
  join(connection: Connection, page: PageId): void {
    if (!this.isPaused(connection)) return connection.socket.join(page);
    const open = connection.pageOf(page);
    if (open) open.paused = true;
  }

  /** Something waits for the socket: from now on it is looked at. */
  watch(connection: Connection): Watch {
    let watch = this.#watched.get(connection);
    if (!watch) {
      watch = { pausedAt: null, writtenAt: this.#options.clock.monotonic() };
      this.#watched.set(connection, watch);
    }
    return watch;
  }

  /** What was published for this socket is lost, and of which page nobody knows: it leaves all of them. */
  dropped(connection: Connection): void {
    const watch = this.watch(connection);
    if (watch.pausedAt !== null) return;
    watch.pausedAt = watch.writtenAt = this.#options.clock.monotonic();
    this.#options.counts.paused();
    for (const open of connection.pages) {
      open.paused = true;
      connection.socket.leave(open.page);
    }
  }

  /** The socket has written some of what it held. */
  drained(connection: Connection): void {
    const watch = this.#watched.get(connection);
    if (!watch) return;
    watch.writtenAt = this.#options.clock.monotonic();
    this.#look(connection, watch);
  }

  #look(connection: Connection, { pausedAt }: Watch): void {
    const { clock, bytesMax, counts, resume } = this.#options;
    if (!connection.outbox.isEmpty || connection.outbox.held > bytesMax * LOW_SHARE) return;
    if (pausedAt !== null && clock.monotonic() - pausedAt < PAUSE_MIN_MS) return;
    this.#watched.delete(connection);
    if (pausedAt === null) return;
    counts.resumed();
    for (const open of connection.pages) {
      if (!open.paused) continue;
      open.paused = false;
      resume(connection, open);
    }
  }

  /** Once a second: those that have read go on, those that do not read at all are closed. */
  sweep(): void {
    const now = this.#options.clock.monotonic();
    for (const [connection, watch] of this.#watched) {
      if (connection.outbox.held === 0) watch.writtenAt = now;
      if (now - watch.writtenAt >= STALLED_MS) this.#options.close(connection);
      else this.#look(connection, watch);
    }
  }

  forget(connection: Connection): void {
    this.#watched.delete(connection);
  }
}
