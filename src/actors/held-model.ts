/**
 * The document of a page, for as long as somebody changes it. It takes half as much again as the bytes that it is encoded
 * in, four times those it is packed in, and more with all that is written to; a page that people only have open needs none
 * of that: joiners get the packed snapshot and the log. So a page at rest gives its document up (`sleep`), and the first that asks for it
 * has it again (`model`), at once: decoding takes about 3 ms for 2,000 blocks. Nobody can tell the difference.
 * A page whose log ends at its snapshot is asleep when it is loaded: who opens it need not wait for the decoding.
 *
 *     awake ──sleep, once at rest──▶ asleep: the server's own part, encoded          awake ◀──model── asleep ◀── loaded
 */
import { assert } from '../base/assert.ts';
import type { DocumentModel } from '../document/model.ts';
import type { LogEntry } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import type { Compression } from './compression.ts';
import type { Asleep, CachedSnapshot } from './world.ts';

/** What a page at rest is made from again: the cached snapshot, and the log after it. */
export interface Packed {
  readonly snapshot: CachedSnapshot | null;
  readonly tail: readonly LogEntry[];
}

export class HeldModel {
  #awake: DocumentModel | null;
  #asleep: Asleep | null;

  constructor(model: DocumentModel | Asleep) {
    const isAsleep = 'restore' in model;
    this.#awake = isAsleep ? null : model;
    this.#asleep = isAsleep ? model : null;
  }

  get isAsleep(): boolean {
    return this.#awake === null;
  }

  get bytes(): number {
    return this.#awake ? this.#awake.bytes : this.#asleep!.private.length;
  }

  stateHash(): Uint8Array | null {
    return this.#awake ? this.#awake.stateHash() : this.#asleep!.hash;
  }

  /** The decoded model, or null. */
  get awake(): DocumentModel | null {
    return this.#awake;
  }

  /** Nothing may be queued: the model's memory of that is lost. */
  sleep(): void {
    if (!this.#awake) return;
    const hash = this.#awake.stateHash();
    this.#asleep = { restore: this.#awake.restorer(), private: this.#awake.encodePrivate(), hash };
    this.#awake = null;
  }

  wake({ snapshot, tail }: Packed, unpack: Compression['unpackNow']): DocumentModel {
    assert(this.#asleep, 'only what sleeps is woken');
    const plain = snapshot && unpack(snapshot.body);
    const model = this.#asleep.restore(plain, this.#asleep.private);
    for (const { body, hlcMs: ms, hlcCounter: counter, replica, author } of tail) {
      const decoded = model.decode(body);
      assert(!isMalformed(decoded), 'what was applied once can be decoded');
      model.apply(decoded, { ms, counter, replica }, author);
    }
    this.#asleep = null;
    return (this.#awake = model);
  }
}
