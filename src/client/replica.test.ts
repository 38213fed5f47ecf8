/**
 * Working copies against a log in memory: whatever several people edit, in whatever order it arrives, all copies show the
 * same in the end, and it is the fold of the log.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { BlockTable } from '../document/blocks.ts';
import { BlockText } from '../document/block-text.ts';
import { decodeOps, type Op } from '../document/ops.ts';
import { compareOrder } from '../document/order.ts';
import { decodeSnapshot, encodeSnapshot } from '../document/snapshot.ts';
import { type BlockId, newId, type PageId, type ReplicaId, seq, type UserId } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { WireChange } from '../protocol/messages.ts';
import { blockToJson } from './block-view.ts';
import { Editor } from './editing.ts';
import type { RejectedEvent } from './page-events.ts';
import { readRuns } from './text-codec.ts';
import { WorkingCopy } from './working-copy.ts';

const PAGE = '01900000-0000-7000-8000-000000000001' as PageId;

/** The fold of all changes, and the changes themselves. */
class LogServer {
  readonly log: WireChange[] = [];
  readonly table = new BlockTable(PAGE);
  readonly lastN = new Map<ReplicaId, number>();

  /** As the server does: text that does not continue what is held would hide later text. */
  #textFits(ops: readonly Op[]): boolean {
    return ops.every((op, i) => {
      if (op.op !== 'text' || !this.table.get(op.block)) return true;
      const held = new BlockText(this.table.get(op.block)!.text?.merged());
      for (const earlier of ops.slice(0, i)) {
        if (earlier.op === 'text' && earlier.block === op.block) held.append(earlier.update, earlier.shape);
      }
      return held.append(op.update, op.shape);
    });
  }

  accept(change: WireChange): 'taken' | 'duplicate' | 'missing' {
    const last = this.lastN.get(change.replica) ?? 0;
    if (change.n <= last) return 'duplicate';
    expect(change.n).toBe(last + 1);
    const ops = decodeOps(change.ops);
    if ('malformed' in ops) throw new Error(ops.malformed);
    if (!this.#textFits(ops)) return 'missing';
    for (const op of ops) {
      const outcome = this.table.apply(op, { ...change.hlc, replica: change.replica });
      expect(outcome).not.toBe('missing');
    }
    this.lastN.set(change.replica, change.n);
    this.log.push(change);
    return 'taken';
  }
}

class Person {
  readonly copy: WorkingCopy;
  readonly editor: Editor;
  readonly rejected: RejectedEvent[] = [];
  readonly server: LogServer;
  /** Sent, not yet taken by the server. */
  wire: WireChange[] = [];
  online = true;
  refusals = 0;

  constructor(server: LogServer, seed: number, skewMs = 0) {
    const random = seededRandom(seed);
    const now = () => 1_700_000_000_000 + server.log.length * 3 + skewMs;
    this.server = server;
    this.copy = new WorkingCopy({
      page: PAGE,
      replica: newId<ReplicaId>(now(), random),
      clock: systemClock,
      random,
      now,
      limits: () => defaultLimits,
      locked: () => null,
      heeded: () => true,
      changed: () => {},
      rejected: (event) => this.rejected.push(event),
      settled: () => {},
      sealed: () => {},
    });
    this.editor = new Editor(this.copy, random, now);
  }

  get blocks(): BlockId[] {
    return this.copy.children.of(this.copy.replica.view.root).map(({ id }) => id);
  }

  send(): void {
    this.copy.seal();
    if (!this.online) return;
    const { outbox, id } = this.copy.replica;
    while (outbox.inFlight < 16) {
      const change = outbox.takeNext();
      if (!change) return;
      const { ms, counter } = change.stamp;
      const wire = { replica: id, n: change.n, hlc: { ms, counter }, author: 'someone' as UserId, at: 0 };
      this.wire.push({ ...wire, ops: change.body! });
    }
  }

  /** The server takes some of what was sent. */
  deliver(count: number): void {
    for (const change of this.wire.splice(0, count)) {
      if (this.server.accept(change) !== 'missing') continue;
      this.wire = [];
      this.copy.refuse(change.n, 'missing', 'a test');
      this.copy.replica.outbox.recallFrom(0);
      this.refusals++;
      return;
    }
  }

  hear(count: number): void {
    if (!this.online) return;
    const { seq: at } = this.copy.replica;
    const changes = this.server.log.slice(at, at + count);
    if (changes.length > 0) this.copy.receive(seq(at + 1), changes);
  }

  /** The server refuses the first change that is on its way, and with it all behind. */
  beRefused(): void {
    this.send();
    const taken = this.server.lastN.get(this.copy.replica.id) ?? 0;
    const refused = this.wire.find((change) => change.n > taken);
    this.wire = [];
    if (!refused) return;
    this.copy.refuse(refused.n, 'too_large', 'a test');
    this.copy.replica.outbox.recallFrom(0);
    this.refusals++;
  }

  disconnect(): void {
    this.online = false;
    this.wire = [];
    this.copy.replica.outbox.recallFrom(0);
  }

  connect(bySnapshot: boolean): void {
    if (this.online) return;
    this.online = true;
    const { server, copy } = this;
    if (bySnapshot && server.log.length > copy.replica.seq) {
      copy.load(decodeSnapshot(PAGE, encodeSnapshot(server.table)), seq(server.log.length));
    }
    this.hear(Infinity);
    const n = server.lastN.get(copy.replica.id) ?? 0;
    const last = server.log.findLast(({ replica }) => replica === copy.replica.id);
    copy.caughtUp({ n, hlc: last?.hlc ?? null });
  }

  settle(): void {
    this.connect(false);
    for (let round = 0; round < 1000; round++) {
      this.send();
      this.deliver(Infinity);
      this.hear(Infinity);
      if (this.copy.replica.pendingCount === 0) return;
    }
    throw new Error('it does not settle');
  }
}

function canonical(table: BlockTable): unknown {
  const blocks = [...table.all()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return blocks.map(({ idHash: _hash, ...block }) => ({
    ...block,
    children: [...table.children(block.id)].sort(),
    props: [...block.props]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { value, stamp }]) => [key, value, stamp]),
    text: readRuns(block.text?.updates ?? []),
  }));
}

const shown = (person: Person) => blockToJson(person.copy, person.copy.replica.view.root);

interface Step {
  who: number;
  what: number;
  a: number;
  b: number;
}

interface Scene {
  readonly person: Person;
  readonly a: number;
  readonly b: number;
  readonly block: BlockId;
  readonly other: BlockId;
}

function insert({ editor }: Person, a: number, b: number): void {
  const block = { type: 'paragraph', text: 'abc'.slice(0, a % 4), props: { p: b } };
  editor.insert(block, a % 3 ? {} : { after: null });
}

function typeInto({ person, block, b }: Scene): void {
  const text = person.copy.texts.open(block);
  const at = b % (text.length + 1);
  const left = text.length - at;
  if (b % 4 === 0 && left > 0) text.delete(at, 1 + (b % Math.min(2, left)));
  else if (b % 7 === 0 && left > 0) text.format(at, left, { bold: b % 2 ? true : null });
  else text.insert(at, 'xyz'.slice(b % 3));
}

/** What a person or the network does, with how often. */
const ACTIONS: [number, (scene: Scene) => void][] = [
  [3, ({ person, a, b }) => insert(person, a, b)],
  [
    2,
    ({ person: { editor }, block, b }) => editor.update(block, { [`k${b % 2}`]: b }, b % 5 ? null : 'quote'),
  ],
  [1, ({ person: { editor }, block }) => editor.setDeleted(block, true)],
  [
    1,
    ({ person: { copy, editor }, a }) => {
      const deleted = [...copy.replica.confirmed.all()].filter((one) => one.deleted)[a % 3];
      if (deleted) editor.setDeleted(deleted.id, false);
    },
  ],
  [
    4,
    ({ person: { copy, editor }, block, other }) => {
      if (!copy.replica.view.isWithin(other, block)) editor.move(block, { parent: other });
    },
  ],
  [1, ({ person: { editor }, block, other }) => block !== other && editor.move(block, { after: other })],
  [4, typeInto],
  [1, ({ person: { copy } }) => copy.undo()],
  [1, ({ person: { copy } }) => copy.redo()],
  [
    1,
    ({ person: { copy, editor }, block, other, a }) =>
      copy.transact(() => {
        copy.texts.open(block).insert(0, '!');
        editor.update(other, { t: a }, null);
      }),
  ],
  [1, ({ person }) => person.disconnect()],
  [2, ({ person, a }) => person.connect(a % 2 === 0)],
  [
    4,
    ({ person, a }) => {
      person.send();
      person.deliver(a % 4);
    },
  ],
  [4, ({ person, a }) => person.hear(1 + (a % 5))],
];
const DECK = ACTIONS.flatMap(([weight, action]) => Array.from({ length: weight }, () => action));
const REFUSED = DECK.length;
const SEEDED = REFUSED + 1;

/** A block with an id that others may choose too: the first in the log wins. */
function seed({ copy, editor }: Person, b: number): void {
  const id = `01900000-0000-7000-8000-00000000010${b % 3}` as BlockId;
  if (!copy.replica.view.get(id)) editor.insert({ type: 'quote', text: 'seed', id }, {});
  copy.texts.open(id).insert(0, 'more');
}

function act(person: Person, { what, a, b }: Step): void {
  const { blocks } = person;
  const [block, other] = [blocks[a % blocks.length], blocks[b % blocks.length]];
  if (!block || !other) return insert(person, a, b);
  DECK[what]!({ person, a, b, block, other });
}

/** What the view must be: confirmed, with the pending ops over it, folded anew; and its children sorted anew. */
function expectViewIsFold({ copy }: Person): void {
  const { replica } = copy;
  const oracle = new BlockTable(PAGE, replica.confirmed);
  const pending = [...replica.outbox.changes, ...(replica.open ? [replica.open] : [])];
  for (const { ops, stamp } of pending) for (const op of ops) oracle.apply(op, stamp);
  const ids = new Set(
    [replica.confirmed, replica.view, oracle].flatMap((table) => [...table.all()].map(({ id }) => id)),
  );
  const childrenOf = new Map<BlockId, BlockId[]>();
  for (const id of ids) {
    const [is, should] = [replica.view.get(id)!, oracle.get(id)!];
    const { text: _1, idHash: _2, ...look } = should;
    expect(is).toMatchObject(look);
    const held = readRuns(replica.textUpdates(id));
    expect(copy.texts.runs(id)).toEqual(held);
    if (should.parent === null || should.deleted) continue;
    childrenOf.set(should.parent, [...(childrenOf.get(should.parent) ?? []), id]);
  }
  for (const id of ids) {
    const sorted = (childrenOf.get(id) ?? []).sort((a, b) => {
      return compareOrder(oracle.get(a)!.key, a, oracle.get(b)!.key, b);
    });
    expect(copy.children.of(id).map((place) => place.id)).toEqual(sorted);
  }
}

function run(steps: readonly Step[], number: number, mode: 'plain' | 'refusals' | 'equal ids'): void {
  const server = new LogServer();
  const people = [0, 1, 2].map((i) => new Person(server, number + i, [0, 40_000, -9_000][i]));
  for (const step of steps) {
    const person = people[step.who]!;
    if (step.what < REFUSED) act(person, step);
    else if (step.what === REFUSED && mode === 'refusals') person.beRefused();
    else if (step.what === SEEDED && mode === 'equal ids') seed(person, step.b);
    people[step.who]!.copy.seal();
    expectViewIsFold(people[step.who]!);
  }
  for (let round = 0; round < 2; round++) for (const person of people) person.settle();
  const truth = canonical(server.table);
  for (const person of people) {
    expect(canonical(person.copy.replica.confirmed)).toEqual(truth);
    expect(person.copy.replica.confirmed.hash).toEqual(server.table.hash);
    expect(shown(person)).toEqual(shown(people[0]!));
    expect(person.rejected.length >= person.refusals).toBe(true);
    if (mode === 'plain') expect(person.refusals).toBe(0);
    if (person.refusals === 0) expect(person.rejected).toEqual([]);
    for (const block of person.blocks) {
      expect(person.copy.texts.open(block).toDelta()).toEqual(
        readRuns(server.table.get(block)?.text?.updates ?? []),
      );
    }
  }
}

const RUNS = process.env['OCTAVO_TEST_LONG'] ? 20_000 : 25;
const stepArbitrary = fc.record({ who: fc.nat(2), what: fc.nat(SEEDED), a: fc.nat(1000), b: fc.nat(1000) });
const steps = fc.array(stepArbitrary, { minLength: 20, maxLength: 120, size: 'max' });

describe('working copies and a log', () => {
  it('K1 K2 K6 K70 are equal in the end, to the hash, whatever was edited and whatever the network did', () => {
    const property = fc.property(steps, fc.nat(), (some, seed) => run(some, seed, 'plain'));
    fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  it('K2 K11 are equal in the end, though changes are refused', () => {
    const property = fc.property(steps, fc.nat(), (some, seed) => run(some, seed, 'refusals'));
    fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  it('K2 K13 are equal in the end, though two insert a block with one id', () => {
    const property = fc.property(steps, fc.nat(), (some, seed) => run(some, seed, 'equal ids'));
    fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });
});

describe('a copy whose own changes come partly in a snapshot', () => {
  it('K22 names the seq of the change that it heard, and none for those in the snapshot', () => {
    const server = new LogServer();
    const person = new Person(server, 1);
    for (const title of ['one', 'two', 'three']) {
      person.editor.update(PAGE, { title }, null);
      person.send();
    }
    const sent = [...person.wire];
    person.deliver(2);
    person.copy.load(decodeSnapshot(PAGE, encodeSnapshot(server.table)), seq(2));
    const confirmed = person.copy.receive(seq(3), sent.slice(2));
    expect(confirmed.map(({ n, seq: at }) => [n, at])).toEqual([[1, 0], [2, 0], [3, 3]]);
  });
}); // prettier-ignore

describe('a copy that was told before the commit', () => {
  const sealed = (person: Person): WireChange => {
    person.send();
    return person.wire.at(-1)!;
  };

  it('K1 shows a block of mine below one that was told, forgotten, told again and then logged', () => {
    const server = new LogServer();
    const [ann, bob] = [new Person(server, 1), new Person(server, 2)];
    const parent = ann.editor.insert({ type: 'paragraph' }, {});
    const told = sealed(ann);
    bob.copy.hearVolatile([told], seq(0));
    const child = bob.editor.insert({ type: 'paragraph' }, { parent });
    const mine = sealed(bob);
    bob.copy.forgetVolatile();
    bob.copy.hearVolatile([told], seq(0));
    bob.copy.receive(seq(1), [told, mine]);
    expect(bob.copy.children.of(parent).map(({ id }) => id)).toEqual([child]);
  });

  it('K2 lets go of text that was told and has no effect where the log has it', () => {
    const server = new LogServer();
    const [ann, bob, carl] = [new Person(server, 1), new Person(server, 2), new Person(server, 3)];
    const block = ann.editor.insert({ type: 'paragraph' }, {});
    const inserted = sealed(ann);
    bob.copy.hearVolatile([inserted], seq(0));
    bob.copy.texts.open(block).insert(0, 'too early');
    const typed = sealed(bob);
    carl.copy.hearVolatile([inserted, typed], seq(0));
    expect(carl.copy.texts.open(block).toString()).toBe('too early');
    carl.copy.receive(seq(1), [typed]);
    expect(carl.copy.texts.open(block).toString()).toBe('');
  });
});
