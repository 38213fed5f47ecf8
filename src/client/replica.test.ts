/**
 * Working copies against a log in memory: whatever several people edit, in whatever order it arrives, all copies show the
 * same in the end, and it is the fold of the log.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { BlockTable } from '../document/blocks.ts';
import { decodeOps } from '../document/ops.ts';
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

  accept(change: WireChange): 'taken' | 'duplicate' | 'missing' {
    const last = this.lastN.get(change.replica) ?? 0;
    if (change.n <= last) return 'duplicate';
    expect(change.n).toBe(last + 1);
    const ops = decodeOps(change.ops);
    if ('malformed' in ops) throw new Error(ops.malformed);
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
      changed: () => {},
      rejected: (event) => this.rejected.push(event),
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
    for (const change of this.wire.splice(0, count)) this.server.accept(change);
  }

  hear(count: number): void {
    if (!this.online) return;
    const { seq: at } = this.copy.replica;
    const changes = this.server.log.slice(at, at + count);
    if (changes.length > 0) this.copy.receive(seq(at + 1), changes);
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
    copy.caughtUp(server.lastN.get(copy.replica.id) ?? 0);
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
  return blocks.map((block) => ({
    ...block,
    children: [...(block.children ?? [])].sort(),
    props: [...block.props]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { value, stamp }]) => [key, value, stamp]),
    text: readRuns(block.text?.updates ?? []),
  }));
}

const shown = (person: Person) => blockToJson(person.copy, person.copy.replica.view.root);

type Step = { who: number; what: number; a: number; b: number };
const stepArbitrary = fc.record({ who: fc.nat(2), what: fc.nat(19), a: fc.nat(1000), b: fc.nat(1000) });

/** One random thing that a person or the network does. */
function act(person: Person, { what, a, b }: Step): void {
  const { copy, editor, blocks } = person;
  const pick = (n: number) => blocks[n % blocks.length];
  const [block, other] = [pick(a), pick(b)];
  if (what <= 2 || !block || !other) {
    editor.insert(
      { type: 'paragraph', text: 'abc'.slice(0, a % 4), props: { p: b } },
      { after: a % 3 ? undefined! : null },
    );
    return;
  }
  switch (what) {
    case 3:
    case 4: editor.update(block, { [`k${b % 2}`]: b }, b % 5 ? null : 'quote'); break; // prettier-ignore
    case 5: editor.setDeleted(block, true); break; // prettier-ignore
    case 6: {
      const deleted = [...copy.replica.confirmed.all()].filter((one) => one.deleted)[a % 3];
      if (deleted) editor.setDeleted(deleted.id, false);
      break;
    }
    case 7:
    case 8: if (!copy.replica.view.isWithin(other, block)) editor.move(block, { parent: other }); break; // prettier-ignore
    case 9: if (block !== other) editor.move(block, { after: other }); break; // prettier-ignore
    case 10:
    case 11:
    case 12: {
      const text = copy.texts.open(block);
      const at = b % (text.length + 1);
      if (b % 4 === 0 && at < text.length) text.delete(at, 1 + (b % Math.min(2, text.length - at)));
      else if (b % 7 === 0 && at < text.length)
        text.format(at, text.length - at, { bold: b % 2 ? true : null });
      else text.insert(at, 'xyz'.slice(b % 3));
      break;
    }
    case 13: copy.undo(); break; // prettier-ignore
    case 14: copy.redo(); break; // prettier-ignore
    case 15: copy.transact(() => { copy.texts.open(block).insert(0, '!'); editor.update(other, { t: a }, null); }); break; // prettier-ignore
    case 16: person.disconnect(); break; // prettier-ignore
    case 17: person.connect(a % 2 === 0); break; // prettier-ignore
    case 18: person.send(); person.deliver(a % 4); break; // prettier-ignore
    case 19: person.hear(1 + (a % 5)); break; // prettier-ignore
  }
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
    const { children: _1, text: _2, ...look } = should;
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

function run(steps: readonly Step[], seed: number): void {
  const server = new LogServer();
  const people = [0, 1, 2].map((i) => new Person(server, seed + i, [0, 40_000, -9_000][i]));
  for (const step of steps) {
    act(people[step.who]!, step);
    people[step.who]!.copy.seal();
    expectViewIsFold(people[step.who]!);
  }
  for (let round = 0; round < 2; round++) for (const person of people) person.settle();
  const truth = canonical(server.table);
  for (const person of people) {
    expect(canonical(person.copy.replica.confirmed)).toEqual(truth);
    expect(shown(person)).toEqual(shown(people[0]!));
    expect(person.rejected).toEqual([]);
    for (const block of person.blocks) {
      expect(person.copy.texts.open(block).toDelta()).toEqual(
        readRuns(server.table.get(block)?.text?.updates ?? []),
      );
    }
  }
}

describe('working copies and a log', () => {
  it('are equal in the end, whatever was edited and whatever the network did', () => {
    fc.assert(fc.property(fc.array(stepArbitrary, { minLength: 5, maxLength: 80 }), fc.nat(), run), {
      numRuns: 300,
    });
  });
});
