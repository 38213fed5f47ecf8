/**
 * The steps of MurmurHash3 on 32-bit words: `scramble` a word, take it into a lane, `finish` the lane. Two lanes with
 * other turns and factors make 64 bits of one scrambling. Pure.
 */

export const scramble = (word: number): number => {
  const k = Math.imul(word, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
};
export const stepA = (h: number, k: number): number => {
  const x = h ^ k;
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0;
};
export const stepB = (h: number, k: number): number => {
  const x = (h + k) | 0;
  return (Math.imul((x << 17) | (x >>> 15), 9) + 0x561ccd1b) | 0;
};
export const finish = (h: number): number => {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
};
export const step = (h: number, word: number): number => stepA(h, scramble(word));
