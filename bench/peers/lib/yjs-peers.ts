/**
 * The servers that speak y-protocols, and the bare relays: they differ in their process and its settings only. Their
 * large page is what an editor such as Tiptap makes of it: an XML fragment of paragraphs with a text each.
 */
import * as Y from 'yjs';
import { systemRandom } from '../../../src/base/random.ts';
import { expectedText } from '../../lib/keystroke.ts';
import { must } from '../../lib/must.ts';
import { prose } from '../../lib/pages.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { contentFrame } from '../load/yjs-wire.ts';
import type { PeerPage, PeerPlan, Plan, YjsWire } from '../load/plan.ts';
import type { PageCount, RunningPeer } from './peer.ts';
import type { PeerProcess } from './peer-process.ts';
import { joinYjs, type JoinedYjs } from './yjs-join.ts';

const TEXTS_CHECKED = 5;
const LARGE = 'large';

export function peerPages({ pages, clientsEach }: PageCount): PeerPage[] {
  return Array.from({ length: pages }, (_, i) => ({
    name: `page-${i}`,
    clients: clientsEach,
    // Room for the slots in 32 bits.
    yjsBase: Math.floor(systemRandom.uint32() / 2) + 1,
  }));
}

function largeDocument(blocks: number, characters: number): Uint8Array {
  const doc = new Y.Doc();
  const random = seededRandom(1);
  const paragraphs = Array.from({ length: blocks }, () => {
    const paragraph = new Y.XmlElement('paragraph');
    paragraph.insert(0, [new Y.XmlText(prose(characters, random))]);
    return paragraph;
  });
  doc.getXmlFragment('default').insert(0, paragraphs);
  const update = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}

/** Of a server with documents, or of a relay, which has none to check. */
export class RunningYjs implements RunningPeer {
  readonly #process: PeerProcess;
  readonly #wire: YjsWire;
  /** Hold pages in memory that would leave it without clients. */
  readonly #holders: JoinedYjs[] = [];
  #blocks = 0;
  #joined: JoinedYjs | undefined;

  constructor(process: PeerProcess, wire: YjsWire) {
    this.#process = process;
    this.#wire = wire;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async plan(count: PageCount): Promise<Plan> {
    return {
      protocol: this.#wire,
      url: this.#process.url,
      pages: peerPages(count),
      readers: count.readers,
    };
  }

  async check(plan: Plan, typed: readonly (readonly number[])[]): Promise<void> {
    if (this.#wire === 'relay') return;
    const { pages } = plan as PeerPlan;
    for (let i = 0; i < Math.min(TEXTS_CHECKED, pages.length); i++) {
      const { name, yjsBase } = pages[i]!;
      const joined = await joinYjs(this.#process.url, this.#wire, name);
      joined.socket.close();
      const runs = typed[i]!.map((count, slot) => [yjsBase + slot, count] as const);
      const text = joined.read((doc) => doc.getText('text').toString());
      must(text === expectedText(new Map(runs)), 'a new client reads what was typed');
    }
  }

  async makeLarge(blocks: number, characters: number): Promise<void> {
    this.#blocks = blocks;
    const { url } = this.#process;
    const step = this.#wire === 'relay' ? 'step2' : 'update';
    const content = contentFrame(this.#wire, LARGE, step, largeDocument(blocks, characters));
    const holder = await joinYjs(url, this.#wire, LARGE, content);
    this.#holders.push(holder);
    // It has arrived when somebody else reads it.
    for (let arrived = false; !arrived;) {
      const joined = await joinYjs(url, this.#wire, LARGE);
      joined.socket.close();
      arrived = joined.read(blocksOf) === blocks;
    }
  }

  async joinLarge(): Promise<number> {
    this.#joined = await joinYjs(this.#process.url, this.#wire, LARGE);
    this.#joined.socket.close();
    return this.#joined.ms;
  }

  checkLarge(): void {
    must(this.#joined!.read(blocksOf) === this.#blocks, 'a new client has every block');
  }

  async stop(): Promise<void> {
    for (const { socket } of this.#holders) socket.close();
    await this.#process.stop();
  }
}

const blocksOf = (doc: Y.Doc): number => doc.getXmlFragment('default').length;
