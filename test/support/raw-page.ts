/**
 * Pages for tests of the wire: one with a paragraph in it, and the proof that what was refused has left no trace.
 */
import * as Y from 'yjs';
import type { OpDraft } from '../../src/document/ops.ts';
import type { BlockId, PageId } from '../../src/protocol/ids.ts';
import { enter, newBlock, newPage } from './raw-client.ts';
import { testToken, type TestServer } from './server.ts';

export interface RawPage {
  readonly page: PageId;
  /** A paragraph without text. */
  readonly block: BlockId;
}

export const insert = (page: PageId, block: BlockId = newBlock(), parent: string = page): OpDraft => ({
  op: 'insert', block, parent: parent as BlockId, key: 'a0', type: 'paragraph', props: {}, text: null,
}); // prettier-ignore

/** Text written at once under one Yjs client id: the updates of its pieces, in order. */
export function textUpdates(yjsClient: number, pieces: readonly string[], encode = Y.encodeStateAsUpdate): Uint8Array[] {
  const doc = new Y.Doc();
  doc.clientID = yjsClient;
  return pieces.map((piece) => {
    const before = Y.encodeStateVector(doc);
    const text = doc.getText('text');
    text.insert(text.length, piece);
    return encode(doc, before);
  });
} // prettier-ignore

/** A page with one paragraph, at head 1. */
export async function makePage(server: TestServer): Promise<RawPage> {
  const client = await enter(server.url, await testToken('maker'));
  const [page, block] = [newPage(), newBlock()];
  await client.subscribe(1, page, { create: 'blocks' });
  await client.write(1, page, [insert(page, block)]);
  await client.close();
  return { page, block };
}

/** Where the page's log ends, as a second client is told. */
export async function headOf(server: TestServer, page: PageId): Promise<number> {
  const client = await enter(server.url, await testToken('reader'));
  const { head } = await client.subscribe(1, page);
  await client.close();
  return head;
}

/** Fails unless the server still takes a change on a page of its own. */
export async function serves(server: TestServer): Promise<void> {
  await makePage(server);
}

export const editorOf = (page: PageId) => [{ page, role: 'editor' }];
export const viewerOf = (page: PageId) => [{ page, role: 'viewer' }];
