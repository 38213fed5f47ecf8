/**
 * The alarm for copies that differ: tells the page's hash now and then, and judges what clients answer. Each mismatch is
 * counted; the log has both hashes, at most once in a while for each page, since every copy on it may differ at once.
 *
 * Only what was told lately can be answered: a client answers at once, and only if it stands at that very seq. Past an op
 * of a newer version there is nothing to compare: that is said, once.
 */
import { sameBytes } from '../base/bytes.ts';
import type { Millis } from '../base/time.ts';
import { hashHex } from '../document/state-hash.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import { type PageId, seq, type Seq } from '../protocol/ids.ts';
import { hashIsDue } from './hash-policy.ts';
import type { PageState } from './page-state.ts';
import type { ActorWorld, Subscriber } from './world.ts';

const REMEMBERED = 8;
const LOG_EVERY_MS: Millis = 10_000;

export class DivergenceWatch {
  readonly #page: PageId;
  readonly #world: ActorWorld;
  #told: { readonly seq: Seq; readonly hash: Uint8Array }[] = [];
  #toldAt = seq(0);
  #head = seq(0);
  #changedAt: Millis;
  #loggedAt: Millis = -Infinity;
  #unlogged = 0;
  #saysNewer = false;

  constructor(page: PageId, world: ActorWorld) {
    this.#page = page;
    this.#world = world;
    this.#changedAt = world.clock.monotonic();
  }

  /** Called after each commit and each second; `state` is what everyone on the page has been sent. */
  tell(state: PageState): void {
    const now = this.#world.clock.monotonic();
    const { head } = state;
    if (head !== this.#head) {
      this.#head = head;
      this.#changedAt = now;
    }
    const since = { changes: head - this.#toldAt, restMs: now - this.#changedAt };
    if (!hashIsDue(since, this.#world.hashPolicy)) return;
    const hash = state.stateHash();
    if (!hash) return this.#passed(head);
    this.#toldAt = head;
    this.#told = [...this.#told.slice(1 - REMEMBERED), { seq: head, hash }];
    this.#world.publish(this.#page, encodeServerMessage({ kind: 'hash', page: this.#page, seq: head, hash }));
  }

  /** The log goes past what this version knows. */
  #passed(at: Seq): void {
    if (this.#saysNewer) return;
    this.#saysNewer = true;
    const what =
      'a page holds edits of a newer version: they are kept and passed on, the page is neither compared nor snapshotted here';
    this.#world.log.warn({ page: this.#page, seq: at }, what);
  }

  /** A client says that its state at `at` has another hash; undefined: one that is not on the page. */
  diverged(subscriber: Subscriber | undefined, at: Seq, theirs: Uint8Array): void {
    const ours = this.#told.find((one) => one.seq === at)?.hash;
    if (!subscriber || !ours || sameBytes(ours, theirs)) return;
    const { user, replica } = subscriber;
    const { clock, counts, log } = this.#world;
    counts.diverged();
    const now = clock.monotonic();
    if (now - this.#loggedAt < LOG_EVERY_MS) {
      this.#unlogged++;
      return;
    }
    const fields = { page: this.#page, seq: at, ours: hashHex(ours), theirs: hashHex(theirs), user, replica };
    log.error(
      { ...fields, notLogged: this.#unlogged },
      'a client’s copy of a page differs from the page; it takes the page anew. Keep this line: it names a bug',
    );
    this.#loggedAt = now;
    this.#unlogged = 0;
  }
}
