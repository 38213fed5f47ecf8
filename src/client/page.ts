/**
 * A page, as an application has it open: read it, edit it, hear of others' edits. Edits are visible at once; they are
 * durable when `saved` is true. All of it goes on while the connection is away.
 */
import type { Clock } from '../base/time.ts';
import type { Random } from '../base/random.ts';
import type { JsonValue } from '../base/json.ts';
import type { BlockJson } from '../document/block-json.ts';
import type { BlockId, PageId, ReplicaId, Seq } from '../protocol/ids.ts';
import { mayWrite, type Role, type ServerMessage, type WireStamp } from '../protocol/messages.ts';
import type * as Y from 'yjs';
import { blockToJson, BlockView, viewOf } from './block-view.ts';
import { type Destination, Editor, idOf, type NewBlock } from './editing.ts';
import { Divergence } from './divergence.ts';
import { type ClientCode, OctavoError } from './errors.ts';
import { Emitter } from './events.ts';
import type { Link } from './link.ts';
import type { PendingChange } from './outbox.ts';
import type { PageEvents, RejectedEvent } from './page-events.ts';
import { Presence } from './presence.ts';
import type { Unpack } from './snapshot-parts.ts';
import { Subscription } from './subscription.ts';
import { WorkingCopy } from './working-copy.ts';

export interface PageOptions {
  readonly id: PageId;
  /** Under which its changes are made. */
  readonly replica: ReplicaId;
  /** Where the clock stood when the page was closed before; null: it is open for the first time. */
  readonly leftAt: WireStamp | null;
  readonly create: string | null;
  readonly link: Link;
  readonly clock: Clock;
  readonly random: Random;
  readonly unpack: Unpack;
  /** The ch under which the page hears replies has changed from the first to the second. */
  readonly rerouted: (from: number | null, to: number | null) => void;
  readonly closed: (stamp: WireStamp) => void;
  /** Something was refused, and nobody listens to the page. */
  readonly unheeded: (error: OctavoError) => void;
}

export class Page extends Emitter<PageEvents> {
  readonly id: PageId;
  readonly presence: Presence;
  readonly #options: PageOptions;
  readonly #copy: WorkingCopy;
  readonly #editor: Editor;
  readonly #subscription: Subscription;
  readonly #divergence: Divergence;
  #role: Role | null = null;
  /** As the application was told last. */
  readonly #told = { saved: true, settled: true, outdated: false };
  #closed = false;
  #ch: number | null = null;
  #over: OctavoError | null = null;

  /** Applications get pages from `client.open`. */
  constructor(options: PageOptions) {
    super();
    const { id, replica, link, clock, random, unpack } = options;
    this.id = id;
    this.#options = options;
    const now = () => link.now();
    this.#copy = new WorkingCopy({
      page: id,
      replica,
      clock,
      random,
      now,
      limits: () => link.limits,
      locked: () => this.#locked(),
      heeded: () => this.has('change'),
      changed: (event) => {
        this.#check('outdated');
        this.emit('change', event);
      },
      rejected: (event) => this.#rejected(event),
      settled: () => {
        this.#check('outdated');
        this.#check('settled');
      },
      sealed: () => {
        this.#check('saved');
        this.#subscription.pump();
      },
    });
    if (options.leftAt) this.#copy.replica.clock.observe(options.leftAt);
    this.#editor = new Editor(this.#copy, random, now);
    this.#subscription = new Subscription(id, options.create, link, this.#copy, clock, random, unpack, {
      role: (role) => this.#setRole(role),
      live: (live) => this.emit('live', live),
      subscribed: () => this.presence.subscribed(),
      presenceSlowed: (waitMs) => this.presence.slowed(waitMs),
      confirmed: (changes) => this.#confirmed(changes),
      over: (error) => this.#end(error),
      route: (ch) => this.#route(ch),
    });
    this.#divergence = new Divergence(clock, random, {
      ours: () => this.#copy.replica.confirmed.hash,
      report: (seq, hash) => link.send({ kind: 'diverged', ch: this.#subscription.ch!, seq, hash }),
      diverged: (event) => this.emit('diverged', event),
      repair: () => this.#subscription.takeAnew(),
    });
    this.presence = new Presence(clock, link.replica, () => link.limits.presenceBytesMax, (state) => this.#sendPresence(state)); // prettier-ignore
  }

  /** Edits are never dropped in silence: who does not listen here is told through the client. */
  #rejected(event: RejectedEvent): void {
    if (this.has('rejected')) this.emit('rejected', event);
    else this.#options.unheeded(new OctavoError(event.code, `edits were refused: ${event.message}`));
  }

  #locked(): ClientCode | null {
    if (this.#over) return this.#over.code;
    if (this.#closed) return 'closed';
    return this.#role === null || mayWrite(this.#role) ? null : 'forbidden';
  }

  /** Under which my changes are made here. */
  get replica(): ReplicaId {
    return this.#copy.replica.id;
  }

  /** My role on the page; null before the first sync, or when it was taken away. */
  get role(): Role | null {
    return this.#role;
  }

  /** How far in the page's log this copy is, without what is pending. */
  get seq(): Seq {
    return this.#copy.replica.seq;
  }

  /** Whether every edit made here is durable on the server. */
  get saved(): boolean {
    return this.#copy.replica.pendingCount === 0;
  }

  /**
   * Whether everything of others that is shown here is durable. False while the server's database stalls and it tells
   * people of each other's edits before they are stored: then some of what is shown may be taken back.
   */
  get settled(): boolean {
    return this.#copy.replica.volatileCount === 0;
  }

  /**
   * Whether the page holds edits that this version of the SDK does not know: they are not shown, and all else is. Editing
   * goes on, and nothing is lost by it; but who should see all of the page needs the newer version (a reload, for a web page).
   */
  get outdated(): boolean {
    return !this.#copy.replica.confirmed.isWhole;
  }

  get pendingChanges(): number {
    return this.#copy.replica.pendingCount;
  }

  /** Whether the copy is up to date and hears what comes. */
  get live(): boolean {
    return this.#subscription.isLive;
  }

  get root(): BlockView {
    return viewOf(this.#copy, this.#copy.replica.view.root)!;
  }

  /** A block that exists and is not deleted. (One below a deleted block counts: it comes back with it.) */
  block(id: string): BlockView | undefined {
    const view = viewOf(this.#copy, id.toLowerCase() as BlockId);
    return view && !view.deleted ? view : undefined;
  }

  toJSON(): { page: PageId; seq: Seq; root: BlockJson } {
    return { page: this.id, seq: this.seq, root: blockToJson(this.#copy, this.#copy.replica.view.root) };
  }

  /** Inserts a block with its subtree (as one change, where the limits allow); returns the block's id. */
  insert(block: NewBlock & Destination): BlockId {
    return this.#editor.insert(block, block);
  }

  /** Writes props, key by key (null removes one), and the type if it is given. */
  update(id: string, props: { readonly [key: string]: JsonValue }, type?: string): void {
    this.#editor.update(id, props, type ?? null);
  }

  /** Hides a block with all below it; `restore` brings it back. */
  delete(id: string): void {
    this.#editor.setDeleted(id, true);
  }

  restore(id: string): void {
    this.#editor.setDeleted(id, false);
  }

  move(id: string, to: Destination): void {
    this.#editor.move(id, to);
  }

  /**
   * The live text of a block: a `Y.Text`, edited with the ordinary Yjs API, into which others' edits come. Ask again
   * after a `rejected` event that names the block: its text was replaced. Throws `gone` if there is no such block.
   */
  text(id: string): Y.Text {
    const block = idOf(id);
    if (!this.#copy.replica.view.get(block)) throw new OctavoError('gone');
    return this.#copy.texts.open(block);
  }

  /** Several edits as one change, undone as one. They are visible as they are made. */
  transact<T>(edits: () => T): T {
    return this.#copy.transact(edits);
  }

  /** Takes back my newest edit that still has an effect; others' edits stay. False if there was none. */
  undo(): boolean {
    return this.#copy.undo();
  }

  redo(): boolean {
    return this.#copy.redo();
  }

  get canUndo(): boolean {
    return this.#copy.canUndo;
  }

  get canRedo(): boolean {
    return this.#copy.canRedo;
  }

  /** Resolves when nothing is pending. Rejects with `timeout`, or when the page is closed before. */
  whenSaved(timeoutMs?: number): Promise<void> {
    this.#copy.seal();
    return this.#when(() => this.saved, 'saved', timeoutMs);
  }

  /** Resolves when the copy is up to date. Rejects when the server refuses the page for good. */
  whenLive(timeoutMs?: number): Promise<void> {
    return this.#when(() => this.live, 'live', timeoutMs);
  }

  #when(holds: () => boolean, event: 'saved' | 'live', timeoutMs: number | undefined): Promise<void> {
    if (holds()) return Promise.resolve();
    if (this.#over || this.#closed) return Promise.reject(this.#over ?? new OctavoError('closed'));
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        for (const off of offs) off();
        timer?.cancel();
        settle();
      };
      const fail = (error: OctavoError) => done(() => reject(error));
      const offs = [this.on(event, () => holds() && done(resolve)), this.on('closed', fail)];
      const timer = timeoutMs === undefined ? null : this.#options.clock.after(timeoutMs, () => fail(new OctavoError('timeout'))); // prettier-ignore
    });
  }

  /** Leaves the page. What is still pending is lost: `await whenSaved()` first. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#copy.seal();
    this.#subscription.close();
    this.#end(new OctavoError('closed'));
  }

  #end(error: OctavoError): void {
    this.#closed = true;
    this.#over ??= error;
    // Refused for good: what has no answer is the application's again. (Who closes a page has let go of it.)
    if (error.code !== 'closed') this.#copy.refuseAll(error.code, error.message);
    if (error.code === 'forbidden') this.#setRole(null);
    this.presence.clear();
    this.#divergence.close();
    this.#options.closed(this.#copy.replica.clock.latest);
    if (error.code !== 'closed') this.emit('error', error);
    this.emit('closed', error);
  }

  #setRole(role: Role | null): void {
    if (role === this.#role) return;
    this.#role = role;
    this.emit('role', role);
    if (role === null)
      this.#subscription.refuse(new OctavoError('forbidden', 'the page is not granted any longer'));
  }

  #confirmed(changes: readonly PendingChange[]): void {
    if (this.has('confirmed'))
      for (const { n, seq } of changes) this.emit('confirmed', { n, seq: seq || null });
    this.#check('saved');
  }

  /** Tells the application, if it is news. */
  #check(what: 'saved' | 'settled' | 'outdated'): void {
    if (this[what] === this.#told[what]) return;
    this.#told[what] = this[what];
    this.emit(what, this[what]);
  }

  #route(ch: number | null): void {
    if (ch === this.#ch) return;
    this.#options.rerouted(this.#ch, ch);
    this.#ch = ch;
  }

  /** Only at this very seq, and not while the copy is on its way, is there anything to compare. */
  #hashTold({ seq, hash }: ServerMessage & { kind: 'hash' }): void {
    if (this.live && seq === this.seq) this.#divergence.compare(seq, hash);
  }

  #sendPresence(state: Uint8Array | null): boolean {
    const { ch, isJoined } = this.#subscription;
    if (ch === null || !isJoined) return false;
    this.#options.link.send({ kind: 'presence', ch, state });
    return true;
  }

  /** What the link brings. Not for applications. @internal */
  readonly wire = {
    opened: () => this.#subscription.subscribe(),
    lost: () => this.#subscription.lost(),
    drained: () => this.#subscription.pump(),
    beat: () => this.#subscription.beat(),
    refused: (error: OctavoError) => this.#subscription.refuse(error),
    receive: (message: ServerMessage) => {
      if (message.kind === 'changes') this.#subscription.receiveChanges(message, sizeOf(message));
      else if (message.kind === 'committed') this.#subscription.receiveNames(message);
      else if (message.kind === 'presence') this.presence.receive(message.states);
      else if (message.kind === 'notice') this.emit('notice', message);
      else if (message.kind === 'hash') this.#hashTold(message);
      else this.#subscription.receive(message);
    },
  };
}

const sizeOf = ({ changes }: ServerMessage & { kind: 'changes' }) =>
  changes.reduce((sum, change) => sum + change.ops.length + 100, 0);
