/**
 * Presence from node to node, on a bus of its own: a crowd that moves must not fill the buffers through which changes come.
 * Latest wins, and nothing is kept for who does not hear it: what is lost is made good by the next list, every 10 s.
 *
 *      change   of people of the sender, at the end of its turn        list   of all of them: every 10 s, and when asked
 *      gone     all people of the sender have left, it ends or it      ask    who is here? a page that was just loaded,
 *               has put the page away                                         or a bus that was away
 *
 * A message: its kind (1 byte), the sender (16), the page's epoch (16), and, of `change` and `list`, a PRESENCE frame. People
 * of another epoch are not shown: it is another database, be it a copy of ours.
 */
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Clock } from '../base/time.ts';
import type { PresenceNews } from '../actors/presence.ts';
import type { Bus, OpenBus } from '../cluster/bus.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import {
  bytesToId,
  type EpochId,
  ID_BYTES,
  newId,
  type NodeId,
  type PageId,
  writeId,
} from '../protocol/ids.ts';
import type { WirePresence } from '../protocol/messages.ts';
import type { BusCounts } from './shard-metrics.ts';

export interface PresenceExchangeOptions {
  readonly openBus: OpenBus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly counts: BusCounts;
  /** null while the page is loaded: then nothing of it is told or heard. */
  epochOf(page: PageId): EpochId | null;
  heard(page: PageId, news: PresenceNews): void;
}

const KIND = { change: 1, list: 2, gone: 3, ask: 4 } as const;
type Kind = keyof typeof KIND;
const KINDS = new Map<number, Kind>(Object.entries(KIND).map(([name, number]) => [number, name as Kind]));
const HEADER_BYTES = 1 + 2 * ID_BYTES;
/** A longer list goes in several messages. */
const LIST_BYTES = 64 << 10;

export class PresenceExchange {
  readonly #options: PresenceExchangeOptions;
  readonly #node: NodeId;
  readonly #bus: Bus;
  readonly #followed = new Set<PageId>();
  /** Pages of which others may have people of ours. */
  readonly #shown = new Set<PageId>();

  constructor(options: PresenceExchangeOptions) {
    this.#options = options;
    this.#node = newId<NodeId>(options.clock.now(), options.random);
    this.#bus = options.openBus('presence', {
      message: (page, payload) => this.#received(page, payload),
      following: (page) => this.ask(page),
      ready: () => this.#followed.forEach((page) => this.ask(page)),
    });
  }

  get isUp(): boolean {
    return this.#bus.isUp;
  }

  follow(page: PageId): void {
    this.#followed.add(page);
    this.#bus.subscribe(page);
  }

  ask(page: PageId): void {
    this.#send(page, 'ask');
  }

  /** The page has left memory. */
  forget(page: PageId): void {
    this.#followed.delete(page);
    this.#bus.unsubscribe(page);
    if (this.#shown.delete(page)) this.#send(page, 'gone');
  }

  share(page: PageId, kind: 'change' | 'list', states: readonly WirePresence[]): void {
    if (states.length > 0) this.#shown.add(page);
    for (let from = 0; from < states.length;) {
      let bytes = 0;
      let to = from;
      while (to < states.length && (to === from || bytes < LIST_BYTES)) bytes += states[to++]!.state?.length ?? 0;
      this.#send(page, kind, encodeServerMessage({ kind: 'presence', page, states: states.slice(from, to) }));
      from = to;
    }
  } // prettier-ignore

  #send(page: PageId, kind: Kind, frame: Uint8Array = NOTHING): void {
    const epoch = this.#options.epochOf(page);
    if (epoch === null) return;
    const message = new Uint8Array(HEADER_BYTES + frame.length);
    message[0] = KIND[kind];
    writeId(this.#node, message, 1);
    writeId(epoch, message, 1 + ID_BYTES);
    message.set(frame, HEADER_BYTES);
    this.#options.counts.published('presence', this.#bus.publish(page, message));
  }

  #received(page: PageId, payload: Uint8Array): void {
    const { counts, heard, log } = this.#options;
    counts.received('presence');
    const kind = KINDS.get(payload[0] ?? 0);
    // A kind of a newer node's: what it lacks here comes with its next list.
    if (!kind || payload.length < HEADER_BYTES) return;
    if (bytesToId<EpochId>(payload, 1 + ID_BYTES) !== this.#options.epochOf(page)) return;
    const node = bytesToId<NodeId>(payload, 1);
    if (kind === 'gone' || kind === 'ask') return heard(page, { node, kind, states: [] });
    const message = decodeServerMessage(payload.subarray(HEADER_BYTES));
    if (isMalformed(message)) {
      log.warn({ page, reason: message.malformed }, 'presence of another node cannot be read');
    } else if (message.kind === 'presence') heard(page, { node, kind, states: message.states });
  }

  /** Says goodbye for everybody. */
  async close(): Promise<void> {
    for (const page of this.#shown) this.#send(page, 'gone');
    await this.#bus.close();
  }
}

const NOTHING = new Uint8Array(0);
