/**
 * What goes wrong, and when: a pure function of the seed and the shape of the cluster. A run is made of rounds; in each,
 * faults begin and heal while people write, one after the other, sometimes several at once, with moments of calm between;
 * when the last has healed everybody must agree.
 */
import { type Random, randomBelow, randomFloat, seededRandom } from '../base/random.ts';
import type { Millis } from '../base/time.ts';
import type { LinkState } from './link.ts';

/** Kinds of trouble, as `--only` names them. */
export const TROUBLES = {
  kill: 'kill -9 of nodes',
  restart: 'SIGTERM of nodes, which drain',
  pause: 'SIGSTOP of nodes',
  shards: 'a shard’s thread dies',
  postgres: 'kill -9 and SIGSTOP of PostgreSQL',
  redis: 'kill -9 and SIGSTOP of Redis',
  links: 'links are cut, half-open, deaf one way, or slow',
  swizzle: 'links fail one by one and come back in another order',
  skew: 'nodes’ clocks are off by up to two minutes',
} as const;

export type Trouble = keyof typeof TROUBLES;

export interface Shape {
  readonly nodes: number;
  readonly shards: number;
  readonly clients: number;
  readonly redis: boolean;
  readonly runMs: Millis;
  readonly only: readonly Trouble[];
}

export type Harm =
  | { readonly kind: 'kill' | 'pause' | 'restart' }
  | { readonly kind: 'shard'; readonly shard: number }
  | { readonly kind: 'skew'; readonly byMs: Millis }
  | { readonly kind: 'link'; readonly state: LinkState };

export interface Fault {
  readonly trouble: Trouble;
  /** Since the round's beginning. */
  readonly atMs: Millis;
  readonly forMs: Millis;
  /** A process ('node 1', 'postgres', 'redis') or a link ('client 1', 'node 1 to postgres', 'node 1 to redis'). */
  readonly target: string;
  readonly harm: Harm;
}

export interface Round {
  readonly lengthMs: Millis;
  readonly faults: readonly Fault[];
}

const ROUND_MS = 40_000;
/** Before the first fault of a round, and after the last. */
const CALM_MS = 1000;
const WEIGHTS: Record<Trouble, number> = {
  kill: 4, restart: 1, pause: 2, shards: 2, postgres: 2, redis: 2, links: 6, swizzle: 1, skew: 1,
}; // prettier-ignore
const SKEW_MAX_MS = 120_000;

export const allLinks = ({ nodes, clients, redis }: Pick<Shape, 'nodes' | 'clients' | 'redis'>): string[] => [
  ...Array.from({ length: clients }, (_, i) => `client ${i + 1}`),
  ...Array.from({ length: nodes }, (_, i) => `node ${i + 1} to postgres`),
  ...(redis ? Array.from({ length: nodes }, (_, i) => `node ${i + 1} to redis`) : []),
];

/** The rounds of a run. The same seed and shape give the same. */
export function drawPlan(seed: number, shape: Shape): Round[] {
  const rounds = Math.max(1, Math.round(shape.runMs / ROUND_MS));
  const lengthMs = Math.round(shape.runMs / rounds);
  return Array.from({ length: rounds }, (_, i) => {
    const random = seededRandom((Math.imul(seed, 0x2c1b3c6d) + Math.imul(i + 1, 0x9e3779b1)) >>> 0);
    return { lengthMs, faults: new RoundPlan(random, shape, lengthMs).draw() };
  });
}

class RoundPlan {
  readonly #random: Random;
  readonly #shape: Shape;
  readonly #endMs: Millis;
  readonly #faults: Fault[] = [];
  /** Until when each target is harmed. */
  readonly #busy = new Map<string, Millis>();

  constructor(random: Random, shape: Shape, lengthMs: Millis) {
    this.#random = random;
    this.#shape = shape;
    this.#endMs = lengthMs - CALM_MS;
  }

  draw(): Fault[] {
    for (let at = CALM_MS; at < this.#endMs;) {
      const trouble = this.#trouble();
      const until = trouble === 'swizzle' ? this.#swizzle(at) : this.#one(trouble, at);
      // Some begin while others last; after some there is calm.
      const lasts = until - at;
      if (this.#chance(0.3)) at += lasts * this.#between(0.1, 0.9);
      else at = until + (this.#chance(0.2) ? this.#between(1500, 3000) : this.#between(200, 1000));
    }
    return this.#faults.sort((a, b) => a.atMs - b.atMs);
  }

  #trouble(): Trouble {
    const { only, redis } = this.#shape;
    const possible = only.filter((trouble) => redis || trouble !== 'redis');
    let left = randomFloat(this.#random) * possible.reduce((sum, trouble) => sum + WEIGHTS[trouble], 0);
    return possible.find((trouble) => (left -= WEIGHTS[trouble]) < 0) ?? possible[0]!;
  }

  /** Adds a fault, if its target is whole then. Returns when it ends. */
  #add(trouble: Trouble, target: string, atMs: Millis, forMs: Millis, harm: Harm): Millis {
    const until = Math.min(atMs + forMs, this.#endMs);
    if (atMs >= this.#endMs || (this.#busy.get(target) ?? 0) > atMs) return until;
    this.#busy.set(target, until);
    this.#faults.push({ trouble, atMs: Math.round(atMs), forMs: Math.round(until - atMs), target, harm });
    return until;
  }

  #one(trouble: Exclude<Trouble, 'swizzle'>, at: Millis): Millis {
    const node = `node ${1 + randomBelow(this.#random, this.#shape.nodes)}`;
    const whole = (): Harm => ({ kind: this.#chance(0.5) ? 'kill' : 'pause' });
    switch (trouble) {
      case 'kill':
        return this.#add(trouble, node, at, this.#spread(50, 2000), { kind: 'kill' });
      case 'restart':
        return this.#add(trouble, node, at, this.#spread(50, 1000), { kind: 'restart' });
      case 'pause':
        return this.#add(trouble, node, at, this.#spread(200, 8000), { kind: 'pause' });
      case 'shards': {
        const shard = randomBelow(this.#random, this.#shape.shards);
        return this.#add(trouble, node, at, 500, { kind: 'shard', shard });
      }
      case 'postgres':
      case 'redis':
        return this.#add(trouble, trouble, at, this.#spread(100, 6000), whole());
      case 'links': {
        const state = this.#linkState();
        const forMs = state.kind === 'slow' ? this.#between(1000, 8000) : this.#spread(100, 6000);
        return this.#add(trouble, this.#pick(allLinks(this.#shape)), at, forMs, { kind: 'link', state });
      }
      case 'skew': {
        const byMs = Math.round(this.#spread(100, SKEW_MAX_MS)) * (this.#chance(0.5) ? 1 : -1);
        return this.#add(trouble, node, at, this.#between(2000, 10_000), { kind: 'skew', byMs });
      }
    }
  }

  #linkState(): LinkState {
    const dice = randomBelow(this.#random, 4);
    if (dice === 0) return { kind: 'cut' };
    if (dice === 1) return { kind: 'half-open' };
    if (dice === 2) return { kind: 'deaf', direction: this.#chance(0.5) ? 'up' : 'down' };
    return {
      kind: 'slow',
      delayMs: Math.round(this.#spread(20, 800)),
      bytesPerSecond: Math.round(this.#spread(5000, 500_000)),
    };
  }

  /** Several links fail, a moment after each other; when all have, they heal, in an order of its own. */
  #swizzle(at: Millis): Millis {
    const links = this.#shuffled(allLinks(this.#shape));
    const failing = links.slice(0, Math.min(links.length, 3 + randomBelow(this.#random, 4)));
    const healing = this.#shuffled(failing);
    const stepMs = this.#between(100, 500);
    const allDown = at + failing.length * stepMs;
    let end = at;
    failing.forEach((link, i) => {
      const from = at + i * stepMs;
      const to = allDown + (healing.indexOf(link) + 1) * stepMs;
      const state: LinkState = { kind: this.#chance(0.5) ? 'cut' : 'half-open' };
      end = Math.max(end, this.#add('swizzle', link, from, to - from, { kind: 'link', state }));
    });
    return end;
  }

  #chance(probability: number): boolean {
    return randomFloat(this.#random) < probability;
  }

  #between(low: number, high: number): number {
    return low + randomFloat(this.#random) * (high - low);
  }

  /** Small numbers and large ones alike: even in the number of digits. */
  #spread(low: number, high: number): number {
    return low * (high / low) ** randomFloat(this.#random);
  }

  #pick<T>(items: readonly T[]): T {
    return items[randomBelow(this.#random, items.length)]!;
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items];
    return Array.from(
      { length: rest.length },
      () => rest.splice(randomBelow(this.#random, rest.length), 1)[0]!,
    );
  }
}

/** A fault in a few words. */
export function describeFault({ target, harm, forMs, trouble }: Fault): string {
  const seconds = `${(forMs / 1000).toFixed(1)} s`;
  switch (harm.kind) {
    case 'kill':
      return `kill -9 ${target}, down for ${seconds}`;
    case 'restart':
      return `restart ${target} (SIGTERM), down for ${seconds}`;
    case 'pause':
      return `SIGSTOP ${target} for ${seconds}`;
    case 'shard':
      return `shard ${harm.shard} of ${target} dies`;
    case 'skew':
      return `the clock of ${target} is off by ${(harm.byMs / 1000).toFixed(1)} s for ${seconds}`;
    case 'link': {
      const { state } = harm;
      const what = state.kind === 'deaf' ? `deaf (${state.direction})` : state.kind === 'slow' ? `slow (${state.delayMs} ms, ${Math.round(state.bytesPerSecond / 1000)} kB/s)` : state.kind; // prettier-ignore
      return `link ${target} is ${what} for ${seconds}${trouble === 'swizzle' ? ' (swizzle)' : ''}`;
    }
  }
}
