/**
 * A model of a person who types: bursts of words at the speed of hands, pauses in which they think, typing errors that are
 * noticed some keys later and taken back with the backspace key, now and then a word put in further up, and a new paragraph
 * when one is long enough. Intervals are log-normal, as measured ones are; the sizes are those of adults who write prose at
 * about 60 words a minute while the burst lasts.
 */
import { type Random, randomBelow, randomFloat } from '../base/random.ts';
import type { Millis } from '../base/time.ts';
import { OrderKeys } from '../document/order.ts';
import { type Author, type ExpectedBlock, textOps } from './author.ts';
import { OwnBlock } from './own-block.ts';

const KEY_MEDIAN_MS: Millis = 170;
const KEY_SPREAD = 0.45;
/** Mean of a log-normal: median × e^(spread² / 2). */
const KEY_MEAN_MS = KEY_MEDIAN_MS * Math.exp(KEY_SPREAD ** 2 / 2);
const THOUGHT_MEAN_MS: Millis = 2500;
const BURST_MEAN_KEYS = 30;
const ERROR_SHARE = 0.03;
const INSERT_ABOVE_SHARE = 0.1;
const PARAGRAPH_KEYS = { min: 60, max: 500 };
const LETTERS = 'etaoinshrdlcumwfgypbvkjxqz';

/** Mean ms between two keys of one person, pauses included. */
export const TYPIST_MEAN_MS: Millis = KEY_MEAN_MS + THOUGHT_MEAN_MS / BURST_MEAN_KEYS;

function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - randomFloat(random)));
  return radius * Math.cos(2 * Math.PI * randomFloat(random));
}

export class Typist implements Author {
  readonly #page: string;
  readonly #random: Random;
  readonly #keys: OrderKeys;
  readonly #now: () => Millis;
  readonly #blocks: OwnBlock[] = [];
  #lastKey: string | null = null;
  #block: OwnBlock | null = null;
  #cursor = 0;
  #burstLeft = 0;
  #wordLeft = 0;
  #paragraphLeft = 0;
  /** Keys typed since an error; it is taken back when enough have been. */
  #wrong = 0;
  #noticeAfter = 0;
  #erasing = 0;

  constructor(page: string, random: Random, now: () => Millis) {
    this.#page = page;
    this.#random = random;
    this.#keys = new OrderKeys(random);
    this.#now = now;
  }

  edit(): Uint8Array {
    if (!this.#block || (this.#paragraphLeft <= 0 && this.#erasing === 0 && this.#wrong === 0)) return this.#newParagraph(); // prettier-ignore
    const { text, bytes } = this.#block;
    if (this.#erasing > 0 && this.#cursor > 0) {
      this.#erasing--;
      return textOps([text.delete(--this.#cursor, 1)], bytes);
    }
    const update = text.insert(this.#cursor++, this.#letter());
    this.#paragraphLeft--;
    if (this.#wrong > 0) this.#wrong++;
    else if (randomFloat(this.#random) < ERROR_SHARE) {
      this.#wrong = 1;
      this.#noticeAfter = 1 + randomBelow(this.#random, 4);
    }
    if (this.#wrong >= this.#noticeAfter && this.#wrong > 0) {
      this.#erasing = this.#wrong;
      this.#wrong = 0;
    }
    return textOps([update], bytes);
  }

  #newParagraph(): Uint8Array {
    const random = this.#random;
    this.#lastKey = this.#keys.between(this.#lastKey, null) ?? this.#lastKey ?? 'a0';
    this.#block = new OwnBlock(this.#page, this.#lastKey, 'paragraph', this.#now(), random);
    this.#blocks.push(this.#block);
    this.#cursor = 0;
    this.#paragraphLeft = PARAGRAPH_KEYS.min + randomBelow(random, PARAGRAPH_KEYS.max - PARAGRAPH_KEYS.min);
    return this.#block.insertion;
  }

  #letter(): string {
    if (this.#wordLeft-- <= 0) {
      this.#wordLeft = 1 + randomBelow(this.#random, 8);
      if (this.#cursor > 1) return ' ';
    }
    // Frequent letters more often.
    const rank = Math.floor(LETTERS.length * randomFloat(this.#random) ** 2);
    return LETTERS[rank]!;
  }

  pauseMs(): Millis {
    const random = this.#random;
    const key = KEY_MEDIAN_MS * Math.exp(KEY_SPREAD * normal(random));
    if (this.#burstLeft-- > 0) return key;
    // Bursts of geometric length, so that the mean holds whatever the moment.
    this.#burstLeft = Math.floor(Math.log(1 - randomFloat(random)) / Math.log(1 - 1 / BURST_MEAN_KEYS));
    this.#moveCursor();
    return key - THOUGHT_MEAN_MS * Math.log(1 - randomFloat(random));
  }

  #moveCursor(): void {
    if (!this.#block || this.#erasing > 0 || this.#wrong > 0) return;
    const { length } = this.#block.text;
    this.#cursor = randomFloat(this.#random) < INSERT_ABOVE_SHARE ? randomBelow(this.#random, length + 1) : length; // prettier-ignore
  }

  expected(): ExpectedBlock[] {
    return this.#blocks.map(({ expected }) => expected);
  }

  get cursor(): { block: Uint8Array; index: number } {
    return { block: this.#block?.bytes ?? new Uint8Array(16), index: this.#cursor };
  }
}
