/**
 * ShareDB: pages are json0 documents, made by operations; a large page is a list of blocks with a text each.
 */
import { seededRandom } from '../../../src/base/random.ts';
import { must } from '../../lib/must.ts';
import { prose } from '../../lib/pages.ts';
import { RawSocket } from '../../lib/raw-socket.ts';
import { COLLECTION, expectedPageText, firstPageText, HANDSHAKE, JSON0 } from '../load/sharedb-wire.ts';
import type { PeerPlan, Plan } from '../load/plan.ts';
import type { PageCount, RunningPeer } from './peer.ts';
import type { PeerProcess } from './peer-process.ts';
import { peerPages } from './yjs-peers.ts';

const TEXTS_CHECKED = 5;
const LARGE = 'large';

interface Reply {
  readonly a: string;
  readonly error?: { readonly message: string };
  readonly data?: { readonly data: { readonly text?: string; readonly blocks?: readonly unknown[] } };
}

/** Asks one thing at a time. Replies are parsed by who wants to read them. */
class Asking {
  #socket!: RawSocket;
  #hear: (text: string) => void = () => {};
  #seq = 0;

  static async open(url: string): Promise<Asking> {
    const asking = new Asking();
    asking.#socket = await RawSocket.open(url, null, (bytes, from, to) => {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString();
      // What an old client would want to hear first.
      if (!text.startsWith('{"a":"init"')) asking.#hear(text);
    });
    await asking.ask(HANDSHAKE);
    return asking;
  }

  ask(message: object): Promise<string> {
    const reply = new Promise<string>((resolve) => (this.#hear = resolve));
    this.#socket.sendText(JSON.stringify(message));
    return reply;
  }

  async create(name: string, data: object): Promise<void> {
    const message = {
      a: 'op',
      c: COLLECTION,
      d: name,
      v: 0,
      seq: ++this.#seq,
      create: { type: JSON0, data },
    };
    parsed(await this.ask(message));
  }

  subscribe(name: string): Promise<string> {
    return this.ask({ a: 's', c: COLLECTION, d: name });
  }

  close(): void {
    this.#socket.close();
  }
}

function parsed(text: string): Reply {
  const reply = JSON.parse(text) as Reply;
  must(!reply.error, `ShareDB does as it is asked: ${reply.error?.message}`);
  return reply;
}

export class RunningShareDb implements RunningPeer {
  readonly #process: PeerProcess;
  #blocks = 0;
  #joined = '';

  constructor(process: PeerProcess) {
    this.#process = process;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async plan(count: PageCount): Promise<Plan> {
    const { url } = this.#process;
    const pages = peerPages(count);
    const maker = await Asking.open(url);
    for (const { name, clients } of pages) await maker.create(name, { text: firstPageText(clients) });
    maker.close();
    return { protocol: 'sharedb', url, pages, readers: count.readers };
  }

  async check(plan: Plan, typed: readonly (readonly number[])[]): Promise<void> {
    const { pages } = plan as PeerPlan;
    const reader = await Asking.open(this.#process.url);
    for (let i = 0; i < Math.min(TEXTS_CHECKED, pages.length); i++) {
      const { data } = parsed(await reader.subscribe(pages[i]!.name));
      must(data!.data.text === expectedPageText(typed[i]!), 'a new client reads what was typed');
    }
    reader.close();
  }

  async makeLarge(blocks: number, characters: number): Promise<void> {
    this.#blocks = blocks;
    const random = seededRandom(1);
    const list = Array.from({ length: blocks }, (_, id) => ({ id, type: 'paragraph', text: prose(characters, random) }));
    const maker = await Asking.open(this.#process.url);
    await maker.create(LARGE, { blocks: list });
    maker.close();
  }

  async joinLarge(): Promise<number> {
    const joiner = await Asking.open(this.#process.url);
    const from = performance.now();
    this.#joined = await joiner.subscribe(LARGE);
    const ms = performance.now() - from;
    joiner.close();
    return ms;
  }

  checkLarge(): void {
    must(parsed(this.#joined).data!.data.blocks!.length === this.#blocks, 'a new client has every block');
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }
} // prettier-ignore
