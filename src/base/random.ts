/**
 * Randomness as a parameter, like time. `systemRandom` is cryptographic; `seededRandom` replays (xoshiro128**,
 * Blackman and Vigna 2018, 128 bits of state).
 */

export interface Random {
  /** An unsigned 32-bit integer. */
  uint32(): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

export const systemRandom: Random = {
  uint32: () => globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!,
  bytes: (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)),
};

/** A deterministic generator: the same seed gives the same numbers, everywhere. */
export function seededRandom(seed: number): Random {
  // splitmix32 spreads the seed over the state, as the authors of xoshiro advise.
  let s = seed >>> 0;
  const next = () => {
    s = (s + 0x9e3779b9) >>> 0;
    let z = s;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let a = next();
  let b = next();
  let c = next();
  let d = next();
  const rotl = (x: number, k: number) => ((x << k) | (x >>> (32 - k))) >>> 0;
  const uint32 = () => {
    const result = Math.imul(rotl(Math.imul(b, 5) >>> 0, 7), 9) >>> 0;
    const t = (b << 9) >>> 0;
    c = (c ^ a) >>> 0;
    d = (d ^ b) >>> 0;
    b = (b ^ c) >>> 0;
    a = (a ^ d) >>> 0;
    c = (c ^ t) >>> 0;
    d = rotl(d, 11);
    return result;
  };
  return {
    uint32,
    bytes: (length) => Uint8Array.from({ length }, () => uint32() & 255),
  };
}

/** A float in [0, 1). */
export function randomFloat(random: Random): number {
  return random.uint32() / 0x1_0000_0000;
}

/** An integer in [0, bound). `bound` at most 2^32; the bias is below 2^-20 for the bounds used here. */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor(randomFloat(random) * bound);
}

/** A delay for attempt 0, 1, 2 …: exponential from `firstMs` to `maxMs`, each drawn from its upper half (jitter). */
export function backoffMs(random: Random, attempt: number, firstMs: number, maxMs: number): number {
  const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
  return ceiling * (0.5 + randomFloat(random) / 2);
}
