/**
 * The loads that every peer gets. `typing` and `typing-16` are closed loops: each client has 1 or 16 edits unechoed. The
 * rates are open loops, timed from the moment at which an edit was due. `join` opens a large page again and again.
 */
import type { LoadMode } from '../../load/orders.ts';
import type { PageCount } from './peer.ts';

export interface LoadScenario {
  readonly name: string;
  readonly about: string;
  readonly kind: 'load';
  readonly mode: LoadMode;
  readonly pages: PageCount;
}

export interface JoinScenario {
  readonly name: string;
  readonly about: string;
  readonly kind: 'join';
  readonly blocks: number;
  readonly characters: number;
  readonly joins: number;
}

export type Scenario = LoadScenario | JoinScenario;

const CROWD: PageCount = { pages: 50, clientsEach: 4, readers: false };
const AUDIENCE: PageCount = { pages: 1, clientsEach: 501, readers: true };

const rate = (perSecond: number): Scenario => ({
  name: `rate-${perSecond}`,
  about: `${perSecond.toLocaleString('en-US')} edits a second at even distances, 50 pages × 4 clients`,
  kind: 'load',
  mode: { kind: 'open', perSecond },
  pages: CROWD,
});

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'typing',
    about: 'one unechoed edit a client, 50 pages × 4 clients: as fast as it goes',
    kind: 'load',
    mode: { kind: 'closed', inFlight: 1 },
    pages: CROWD,
  },
  {
    name: 'typing-16',
    about: '16 unechoed edits a client, 50 pages × 4 clients',
    kind: 'load',
    mode: { kind: 'closed', inFlight: 16 },
    pages: CROWD,
  },
  rate(2000),
  rate(10_000),
  rate(20_000),
  {
    name: 'readers-500',
    about: 'one page, one writer at 50 edits a second, 500 readers: each receipt is timed',
    kind: 'load',
    mode: { kind: 'open', perSecond: 50 },
    pages: AUDIENCE,
  },
  {
    name: 'join',
    about: 'a client that holds nothing opens a page of 10,000 blocks of 80 characters that is in memory',
    kind: 'join',
    blocks: 10_000,
    characters: 80,
    joins: 20,
  },
];

/** What `--quick` runs, most telling first: it may have to end before it is through. */
export const QUICK = ['typing', 'rate-10000', 'readers-500', 'join'];
