/**
 * The client: one connection, any number of open pages; one replica id, and a fresh one for a page that is opened again. What comes from the link is handed to the page
 * that it is for: by ch for what answers me, by page id for what everyone hears.
 */
import type { Clock } from '../base/time.ts';
import type { Random } from '../base/random.ts';
import { newId, type PageId, type ReplicaId } from '../protocol/ids.ts';
import type { ServerMessage, WireStamp } from '../protocol/messages.ts';
import { idOf } from './editing.ts';
import { OctavoError } from './errors.ts';
import { Emitter } from './events.ts';
import { Link, type Status } from './link.ts';
import { Page } from './page.ts';
import type { Unpack } from './snapshot-parts.ts';
import type { OpenSocket } from './socket.ts';
import type { TokenProvider } from './token.ts';

export interface ClientOptions {
  /** Such as `wss://example.org/v1/sync`. */
  readonly url: string;
  /** A JWT, or a function that gives a fresh one whenever one is needed. */
  readonly token: TokenProvider;
  /** What this client calls itself; for the server's log. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly openSocket: OpenSocket;
  /** Unpacks snapshots; a parameter, because the platform’s own works on a thread that no test commands. */
  readonly unpack: Unpack;
}

export interface OpenOptions {
  /** Creates the page if there is none (needs the role editor or owner). */
  readonly create?: 'blocks';
}

export interface ClientEvents {
  status: Status;
  error: OctavoError;
}

export class Client extends Emitter<ClientEvents> {
  readonly replica: ReplicaId;
  readonly #options: ClientOptions;
  readonly #link: Link;
  readonly #pages = new Map<PageId, Page>();
  readonly #pageByCh = new Map<number, Page>();
  /** Of pages that were closed: the highest stamp made or seen there. */
  readonly #leftAt = new Map<PageId, WireStamp>();
  #status: Status = 'connecting';
  #refusal: OctavoError | null = null;

  constructor(options: ClientOptions) {
    super();
    this.#options = options;
    this.replica = newId<ReplicaId>(options.clock.now(), options.random);
    this.#link = new Link(
      { ...options, replica: this.replica },
      {
        opened: () => this.#each((page) => page.wire.opened()),
        lost: () => this.#each((page) => page.wire.lost()),
        drained: () => this.#each((page) => page.wire.drained()),
        beat: () => this.#each((page) => page.wire.beat()),
        message: (message) => this.#route(message),
        status: (status) => this.#setStatus(status),
        error: (error) => this.emit('error', error),
        refused: (error) => this.#refused(error),
      },
    );
    this.#link.start();
  }

  #each(tell: (page: Page) => void): void {
    for (const page of this.#pages.values()) tell(page);
  }

  get status(): Status {
    return this.#status;
  }

  /**
   * Opens a page; resolves when it is up to date for the first time. A page that is open already is given again.
   * Rejects with `OctavoError` when the server refuses it for good: `forbidden`, `unknown_page`, `wrong_model` …
   */
  async open(id: string, { create }: OpenOptions = {}): Promise<Page> {
    if (this.#refusal) throw this.#refusal;
    const pageId = idOf<PageId>(id);
    const page = this.#pages.get(pageId) ?? this.#makePage(pageId, create ?? null);
    await page.whenLive();
    return page;
  }

  #makePage(id: PageId, create: string | null): Page {
    const { clock, random, unpack } = this.#options;
    const leftAt = this.#leftAt.get(id) ?? null;
    const page = new Page({
      id,
      create,
      clock,
      random,
      unpack,
      // The node that answers may know less of what was sent from here than we do: its numbers cannot be gone on with.
      replica: leftAt ? newId<ReplicaId>(clock.now(), random) : this.replica,
      leftAt,
      link: this.#link,
      rerouted: (from, to) => {
        if (from !== null && this.#pageByCh.get(from) === page) this.#pageByCh.delete(from);
        if (to !== null) this.#pageByCh.set(to, page);
      },
      unheeded: (error) => this.emit('error', error),
      closed: (stamp) => {
        this.#leftAt.set(id, stamp);
        if (this.#pages.get(id) === page) this.#pages.delete(id);
      },
    });
    this.#pages.set(id, page);
    page.wire.opened();
    return page;
  }

  /** ROLE without a ch says only that a fresh token was taken: one for each page follows. */
  #route(message: ServerMessage): void {
    if ('page' in message) this.#pages.get(message.page)?.wire.receive(message);
    else if ('ch' in message && message.ch !== null) this.#pageByCh.get(message.ch)?.wire.receive(message);
  }

  #setStatus(status: Status): void {
    if (status === this.#status) return;
    this.#status = status;
    this.emit('status', status);
  }

  #refused(error: OctavoError): void {
    this.#refusal = error;
    this.emit('error', error);
    this.#each((page) => page.wire.refused(error));
  }

  /** Takes another token into use at once, in band; after a refusal it connects again (pages must be opened anew). */
  setToken(token: TokenProvider): void {
    this.#refusal = null;
    this.#link.setToken(token);
  }

  /** Closes all pages and the connection. What is still pending is lost: `await page.whenSaved()` first. */
  async close(): Promise<void> {
    this.#refusal = new OctavoError('closed');
    this.#each((page) => page.close());
    this.#link.close();
  }
}
