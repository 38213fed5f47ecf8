/**
 * What the measuring process needs of a server under comparison: a name, what is to be said about its settings, and a
 * started server that prepares pages, says whether they hold what was typed, and opens a large page.
 */
import type { EmptyDatabase } from '../../lib/database.ts';
import type { Plan } from '../load/plan.ts';

export interface Peer {
  readonly name: string;
  /** Package, version and settings; what is where they are not the defaults. */
  readonly about: string;
  /** When an edit that others see is safe from a crash. */
  readonly durable: string;
  /** What it is given of PostgreSQL: a database with Octavo's tables, an empty one, or none. */
  readonly database: 'octavo' | 'empty' | 'none';
  /** Uses the packages of `bench/peers`. */
  readonly needsPackages: boolean;
  /** Another setting of a server that is compared anyway: not part of a quick run. */
  readonly isVariant: boolean;
  start(context: StartContext): Promise<RunningPeer>;
}

export interface StartContext {
  readonly database: EmptyDatabase | null;
  readonly pin: boolean;
  /** The compiled `cli/octavo.js`. */
  readonly octavo: string;
}

export interface PageCount {
  readonly pages: number;
  readonly clientsEach: number;
  /** All clients of a page but the first only read. */
  readonly readers: boolean;
}

export interface RunningPeer {
  readonly pid: number;
  plan(count: PageCount): Promise<Plan>;
  /** Ends the run if a client that has only just come does not read what was typed. */
  check(plan: Plan, typed: readonly (readonly number[])[]): Promise<void>;
  /** Makes the page of `join`, which stays in memory. */
  makeLarge(blocks: number, characters: number): Promise<void>;
  /** Opens it as a client that holds nothing: ms from the question to the last byte. Reading it is `checkLarge`'s. */
  joinLarge(): Promise<number>;
  /** That the last one who joined has every block. */
  checkLarge(): void;
  stop(): Promise<void>;
}
