/**
 * The loads that there are: what each is a picture of, and how large it is unless asked otherwise. A shape is all that
 * tells them apart; options of the command change one number of it at a time.
 */
import type { Millis } from '../base/time.ts';
import type { Behaviour } from './orders.ts';
import type { LatencyName } from './tallies.ts';

export interface Shape {
  readonly pages: number;
  /** On each page. */
  readonly writers: number;
  readonly readers: number;
  readonly slowReaders: number;
  /** Blocks that each page has before anybody comes. */
  readonly blocks: number;
  readonly edits: Behaviour['edits'];
  /** Presence frames of each client, a second. */
  readonly presence: number;
  readonly storm: Behaviour['storm'];
  readonly everyMs: Millis;
}

interface ScenarioRow {
  readonly about: string;
  /** The latency that `p99` and the like mean. */
  readonly main: LatencyName;
  readonly shape: Shape;
}

const CALM = { readers: 0, slowReaders: 0, blocks: 0, presence: 0, storm: 'none', everyMs: 5000 } as const;

export const SCENARIOS = {
  typing: {
    about: 'people who type, four on a page: bursts, pauses, backspaces, new paragraphs; or a recording (--trace)',
    main: 'seen',
    shape: { ...CALM, pages: 25, writers: 4, edits: 'text' },
  },
  blocks: {
    about: 'people who arrange a page: insert, tick off, change the type, move, delete, restore',
    main: 'seen',
    shape: { ...CALM, pages: 25, writers: 4, edits: 'blocks' },
  },
  'hot-page': {
    about: 'one page with one writer and 200 readers; with --writers many, all on that page',
    main: 'seen',
    shape: { ...CALM, pages: 1, writers: 1, readers: 200, edits: 'text' },
  },
  'many-pages': {
    about: '500 pages in use at once, a writer and a reader on each',
    main: 'seen',
    shape: { ...CALM, pages: 500, writers: 1, readers: 1, edits: 'text' },
  },
  'join-storm': {
    about: '200 people open one page of 5,000 blocks at the same moment, every 5 s; with --rate one after another',
    main: 'join',
    shape: { ...CALM, pages: 1, writers: 0, readers: 200, blocks: 5000, edits: 'none', storm: 'join' },
  },
  'reconnect-storm': {
    about: 'people who type, and all lose their connection every 5 s and come back within half a second',
    main: 'join',
    shape: { ...CALM, pages: 25, writers: 4, edits: 'text', storm: 'reconnect' },
  },
  presence: {
    about: 'cursors that move: ten people on a page, five moves a second each',
    main: 'presence',
    shape: { ...CALM, pages: 10, writers: 0, readers: 10, edits: 'none', presence: 5 },
  },
  'slow-reader': {
    about: 'people who type and read, beside others on the same pages who read 1 KB a second: do they hold the rest up?',
    main: 'seen',
    shape: { ...CALM, pages: 5, writers: 4, readers: 4, slowReaders: 20, edits: 'text' },
  },
  mixed: {
    about: 'an ordinary day: most type, some build, all have cursors, readers come and go',
    main: 'seen',
    shape: { ...CALM, pages: 20, writers: 5, readers: 3, blocks: 200, edits: 'mixed', presence: 1, storm: 'churn', everyMs: 10_000 },
  },
} as const satisfies Record<string, ScenarioRow>; // prettier-ignore

export type ScenarioName = keyof typeof SCENARIOS;

export const shapeOf = (name: ScenarioName): Shape => SCENARIOS[name].shape;
export const mainLatency = (name: string): LatencyName | 'request' =>
  Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name as ScenarioName].main : 'request';
