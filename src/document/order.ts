/**
 * Order among siblings: fractional index keys (base 62, compared by code unit; https://www.figma.com/blog/realtime-editing-of-ordered-sequences,
 * keys by the `fractional-indexing` package), ties by block id. Pure; randomness is passed in.
 *
 * Plain keys interleave when two people add several blocks into one gap (ABAB…). So blocks are made in *runs*: a run
 * draws one jittered prefix P in its gap, its blocks get P + integer key + 'V', growing at both ends. Two runs in one
 * gap have different prefixes and stay apart; 10,000 blocks in a row take 13 bytes a key.
 */
import { generateKeyBetween } from 'fractional-indexing';
import { type Random, randomBelow } from '../base/random.ts';
import { WIRE } from '../protocol/limits.ts';

const KEY = /^[A-Za-z][0-9A-Za-z]*$/;
/** The smallest integer of the package's alphabet: nothing can be put before it. */
const SMALLEST = 'A' + '0'.repeat(26);
const JITTER_HALVINGS = 16;

/** The length of the integer part that a key's first character promises. */
function integerLength(head: string): number {
  return head >= 'a' ? head.charCodeAt(0) - 97 + 2 : 90 - head.charCodeAt(0) + 2;
}

/** Whether `key` is a valid order key: alphabet, length, whole integer part, no trailing zero in the fraction. */
export function isOrderKey(key: string): boolean {
  if (key.length > WIRE.keyBytesMax || !KEY.test(key) || key === SMALLEST) return false;
  const length = integerLength(key[0]!);
  return key.length >= length && (key.length === length || !key.endsWith('0'));
}

/** Between two keys. The package may answer with the smallest integer, which it would not take back: then one behind. */
function keyBetween(left: string | null, right: string | null): string {
  const key = generateKeyBetween(left, right);
  return key === SMALLEST ? key + 'V' : key;
}

/** Negative, zero or positive: the place of (key, id) among siblings. By code unit, never by locale. */
export function compareOrder(aKey: string, aId: string, bKey: string, bId: string): number {
  if (aKey !== bKey) return aKey < bKey ? -1 : 1;
  return aId < bId ? -1 : aId > bId ? 1 : 0;
}

interface Run {
  readonly prefix: string;
  first: string;
  last: string;
}

const inRun = (run: Run, integer: string) => run.prefix + integer + 'V';

/**
 * Makes keys for one parent's gaps and remembers its last run, so that what is typed in a row stays together. One for
 * each (client, parent).
 */
export class OrderKeys {
  readonly #random: Random;
  #run: Run | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * A key strictly between `left` and `right` (null: open end). `undefined` if there is none of allowed length: then
   * the siblings' keys are equal or too dense and some must move (`spreadKeys`).
   */
  between(left: string | null, right: string | null): string | undefined {
    if (left !== null && right !== null && left >= right) return undefined;
    const key = this.#continueRun(left, right) ?? this.#startRun(left, right);
    return key.length <= WIRE.keyBytesMax ? key : undefined;
  }

  #continueRun(left: string | null, right: string | null): string | undefined {
    const run = this.#run;
    if (!run) return undefined;
    if (left === inRun(run, run.last)) {
      const integer = generateKeyBetween(run.last, null);
      const key = inRun(run, integer);
      if (right !== null && key >= right) return undefined;
      run.last = integer;
      return key;
    }
    if (right === inRun(run, run.first)) {
      const integer = generateKeyBetween(null, run.first);
      const key = inRun(run, integer);
      if (left !== null && key <= left) return undefined;
      run.first = integer;
      return key;
    }
    return undefined;
  }

  #startRun(left: string | null, right: string | null): string {
    // Jitter: a random point of the gap's middle, found by halving; 16 halvings are 16 bits in about three characters.
    let low = keyBetween(left, right);
    let high = keyBetween(low, right);
    for (let i = 0; i < JITTER_HALVINGS; i++) {
      const middle = keyBetween(low, high);
      if (randomBelow(this.#random, 2) === 0) low = middle;
      else high = middle;
    }
    // `low` is no prefix of `high` only by luck of the draw; one more step makes a prefix with room behind it.
    const prefix = keyBetween(low, high);
    const run: Run = { prefix, first: 'a0', last: 'a0' };
    const key = inRun(run, 'a0');
    if (right !== null && key >= right) return prefix;
    this.#run = run;
    return key;
  }
}

/** `count` keys in a gap, for siblings that must be laid out anew. They may be longer than a key is allowed to be. */
export function spreadKeys(left: string | null, right: string | null, count: number): string[] {
  let prefix = keyBetween(left, right);
  // A prefix of the right neighbour would have keys behind it: step aside.
  while (right?.startsWith(prefix)) prefix = keyBetween(left, prefix);
  const keys: string[] = [];
  for (let i = 0, integer: string | null = null; i < count; i++) {
    integer = generateKeyBetween(integer, null);
    keys.push(prefix + integer + 'V');
  }
  return keys;
}
