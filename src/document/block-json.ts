/**
 * The JSON form of a page: a tree of blocks, each with properties, formatted text and children.
 *
 * This is what imports produce, what exports and the HTTP API read, and what an editor sends. It is a plain
 * value: it knows nothing of stamps, order keys or merging. Types, properties and attributes nobody here has
 * heard of are kept untouched; the known ones are listed in docs/blocks.md.
 */
import type { JsonValue } from '../base/json.ts';

/** One run of text: formatting as attributes. Two neighbouring runs never have equal attributes. */
export interface TextRun {
  insert: string;
  attributes?: { [key: string]: JsonValue };
}

/** One block. Its text is its own line; what is indented below it are its children. */
export interface BlockJson {
  id?: string;
  type: string;
  props: { [key: string]: JsonValue };
  text: TextRun[];
  children: BlockJson[];
}
