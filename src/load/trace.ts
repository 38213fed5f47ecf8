/**
 * Recorded typing: a trace in the format of josephg/editing-traces (`sequential_traces/ascii_only`), plain or packed by gzip, played
 * keystroke by keystroke by each author in a block of its own; at its end a new block is begun. The speed is the run's, not
 * the recording's.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { type Random, randomFloat } from '../base/random.ts';
import type { Millis } from '../base/time.ts';
import { OrderKeys } from '../document/order.ts';
import { type Author, type ExpectedBlock, textOps } from './author.ts';
import { LoadError } from './load-error.ts';
import { OwnBlock } from './own-block.ts';
import { TYPIST_MEAN_MS } from './typist.ts';

type Patch = readonly [place: number, deleted: number, inserted: string];
/** The patches of each keystroke. */
export type Trace = readonly (readonly Patch[])[];

const FORMAT =
  '{ startContent: "", endContent, txns: [{ patches: [[position, deletedCount, insertedText], …] }] }';

/** The trace in a file. Throws `LoadError` when it is none, or when it does not come to its own end. */
export function readTrace(path: string): Trace {
  let text: string;
  try {
    const bytes = readFileSync(path);
    text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch (error) {
    // Expected: a wrong name, no permission, a damaged archive.
    throw new LoadError(`cannot read the trace ${path}: ${(error as Error).message}`);
  }
  return parseTrace(text, path);
}

export function parseTrace(text: string, name: string): Trace {
  let value: { startContent?: unknown; txns?: unknown; endContent?: unknown } | null;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    // Bad input.
    throw new LoadError(`${name} is not JSON; a trace is ${FORMAT}`);
  }
  const txns = value?.txns;
  if (!Array.isArray(txns) || txns.length === 0 || (value!.startContent ?? '') !== '') throw new LoadError(`${name} is no trace: ${FORMAT}`); // prettier-ignore
  const trace: Patch[][] = [];
  let length = 0;
  for (const [i, txn] of (txns as { patches?: unknown }[]).entries()) {
    if (!Array.isArray(txn?.patches)) throw new LoadError(`${name}: transaction ${i} has no patches; a trace is ${FORMAT}`);
    for (const [place, deleted, inserted] of txn.patches as Patch[]) {
      const isWhole = Number.isInteger(place) && Number.isInteger(deleted) && typeof inserted === 'string';
      if (!isWhole || place < 0 || deleted < 0 || place + deleted > length) throw new LoadError(`${name}: transaction ${i} reaches past the end of the text`); // prettier-ignore
      // eslint-disable-next-line no-control-regex
      if (!/^[\x00-\x7f]*$/.test(inserted)) throw new LoadError(`${name}: transaction ${i} has other characters than ASCII; take a trace of sequential_traces/ascii_only`); // prettier-ignore
      length += inserted.length - deleted;
    }
    const patches = (txn.patches as Patch[]).filter(([, deleted, inserted]) => deleted > 0 || inserted !== '');
    if (patches.length > 0) trace.push(patches);
  }
  if (typeof value!.endContent === 'string' && value!.endContent.length !== length) throw new LoadError(`${name}: its transactions make ${length} characters, its endContent has ${value!.endContent.length}`); // prettier-ignore
  if (trace.length === 0) throw new LoadError(`${name} is a trace without edits`);
  return trace;
} // prettier-ignore

export class TracePlayer implements Author {
  readonly #page: string;
  readonly #trace: Trace;
  readonly #random: Random;
  readonly #keys: OrderKeys;
  readonly #now: () => Millis;
  readonly #blocks: OwnBlock[] = [];
  #lastKey: string | null = null;
  #at: number;
  #cursor = 0;

  constructor(page: string, trace: Trace, random: Random, now: () => Millis) {
    this.#page = page;
    this.#trace = trace;
    this.#random = random;
    this.#keys = new OrderKeys(random);
    this.#now = now;
    this.#at = trace.length;
  }

  edit(): Uint8Array {
    if (this.#at === this.#trace.length) {
      this.#lastKey = this.#keys.between(this.#lastKey, null) ?? this.#lastKey ?? 'a0';
      const block = new OwnBlock(this.#page, this.#lastKey, 'paragraph', this.#now(), this.#random);
      this.#blocks.push(block);
      this.#at = 0;
      return block.insertion;
    }
    const { text, bytes } = this.#blocks.at(-1)!;
    const updates: Uint8Array[] = [];
    for (const [place, deleted, inserted] of this.#trace[this.#at++]!) {
      // Copies: the writer's bytes are valid until its next edit.
      if (deleted > 0) updates.push(text.delete(place, deleted).slice());
      if (inserted !== '') updates.push(text.insert(place, inserted).slice());
      this.#cursor = place + inserted.length;
    }
    return textOps(updates, bytes);
  }

  pauseMs(): Millis {
    return -TYPIST_MEAN_MS * Math.log(1 - randomFloat(this.#random));
  }

  expected(): ExpectedBlock[] {
    return this.#blocks.map(({ expected }) => expected);
  }

  get cursor(): { block: Uint8Array; index: number } {
    return { block: this.#blocks.at(-1)?.bytes ?? new Uint8Array(16), index: this.#cursor };
  }
}
