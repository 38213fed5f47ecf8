/**
 * The hash of one value: 32 bits, equal for equal values however they came. Made where values are decoded. Pure.
 */
import type { JsonValue } from '../base/json.ts';
import { finish, step } from './murmur.ts';

const TAG = { nil: 1, no: 2, yes: 3, int: 4, float: 5, str: 6, list: 7, map: 8 } as const;

/** Over UTF-16 units, as JavaScript has them: two in a word. */
export function hashText(text: string, seed: number): number {
  const { length } = text;
  let h = step(seed, length);
  let i = 0;
  for (; i + 1 < length; i += 2) h = step(h, text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
  if (i < length) h = step(h, text.charCodeAt(i));
  return finish(h);
}

const float = new DataView(new ArrayBuffer(8));

/** Equal for equal values, however they came: −0 is 0, as in a snapshot; the order of a map's keys does not count. */
function hashValue(value: JsonValue, h: number): number {
  if (value === null) return step(h, TAG.nil);
  if (typeof value === 'boolean') return step(h, value ? TAG.yes : TAG.no);
  if (typeof value === 'string') return hashText(value, step(h, TAG.str));
  if (typeof value === 'number') {
    // `| 0` makes −0 to 0, which it equals.
    if ((value | 0) === value) return step(step(h, TAG.int), value | 0);
    float.setFloat64(0, value);
    return step(step(step(h, TAG.float), float.getInt32(4)), float.getInt32(0));
  }
  if (Array.isArray(value)) {
    h = step(step(h, TAG.list), value.length);
    for (const item of value) h = hashValue(item, h);
    return h;
  }
  const keys = Object.keys(value);
  let sum = 0;
  for (const key of keys) sum = (sum + hashProp(key, value[key]!)) | 0;
  return step(step(step(h, TAG.map), keys.length), sum);
}

/** Of a prop's key and value. Costs their size; so it is made once, where they are decoded. */
export const hashProp = (key: string, value: JsonValue): number => finish(hashValue(value, hashText(key, 0)));
