/**
 * The verdict of `octavo chaos` can be bad: a sound page, then each kind of damage to it, in each way that it may come.
 */
import { describe, expect, test } from 'vitest';
import { encodeOps, type OpDraft } from '../document/ops.ts';
import type { BlockId, PageId, ReplicaId } from '../protocol/ids.ts';
import { type Count, COUNTS, judge, type PageEvidence, shownByLog, type Testimony } from './judge.ts';
import type { LoggedChange } from './replay.ts';
import { isGood, sumOf } from './result.ts';

const PAGE = '00000000-0000-7000-8000-000000000000' as PageId;
const ROOT = PAGE as string as BlockId;
const A = '0000000a-0000-7000-8000-000000000000' as ReplicaId;
const B = '0000000b-0000-7000-8000-000000000000' as ReplicaId;
const block = (i: number) => `00000001-0000-7000-8000-00000000000${i}` as BlockId;

const insert = (i: number): OpDraft => ({ op: 'insert', block: block(i), parent: ROOT, key: `a${i}`, type: 'paragraph', props: {}, text: null }); // prettier-ignore
const update = (i: number, x: number): OpDraft => ({
  op: 'update',
  block: block(i),
  props: { x },
  type: null,
});

function change(seq: number, replica: ReplicaId, n: number, ...ops: OpDraft[]): LoggedChange {
  return { seq, replica, n, hlcMs: seq, hlcCounter: 0, body: encodeOps(ops) };
}

const LOG = [
  change(1, A, 1, insert(1)),
  change(2, B, 1, insert(2)),
  change(3, A, 2, update(2, 1)),
  change(4, B, 2, update(1, 2)),
  change(5, A, 3, update(1, 3)),
];

function testimony(client: string, replica: ReplicaId, log: readonly LoggedChange[]): Testimony {
  const [own, others] = [log.filter((one) => one.replica === replica), log.filter((one) => one.replica !== replica)];
  const made = replica === A ? { [`insert ${block(1)}`]: 1, [`update ${block(2)}`]: 1, [`update ${block(1)}`]: 1 } : { [`insert ${block(2)}`]: 1, [`update ${block(1)}`]: 1 };
  return {
    client,
    replica,
    acknowledged: new Map(own.map(({ n, seq }) => [`${replica} ${n}`, seq])),
    seen: new Map(others.map((one) => [one.seq, `${one.replica} ${one.n}`])),
    made: new Map(Object.entries(made)),
    handedBack: new Map(),
    saved: true,
    shown: shownByLog(PAGE, log) as Testimony['shown'],
    alarms: 0,
  };
} // prettier-ignore

/** All is well; then `damage` is done to it. */
function verdictOn(damage: Partial<PageEvidence> | ((sound: PageEvidence) => Partial<PageEvidence>)) {
  const testimonies = [testimony('client 1', A, LOG), testimony('client 2', B, LOG)];
  const sound: PageEvidence = { page: PAGE, head: 5, log: LOG, testimonies };
  return judge({ ...sound, ...(typeof damage === 'function' ? damage(sound) : damage) });
}

const ofFirst = (damage: Partial<Testimony>) => (sound: PageEvidence) => ({
  testimonies: [{ ...sound.testimonies[0]!, ...damage }, sound.testimonies[1]!],
});

/** Exactly these counts are not 0, and each is explained. */
function expectOnly(verdict: ReturnType<typeof judge>, counts: Partial<Record<Count, number>>): void {
  const found = Object.fromEntries(COUNTS.flatMap((count) => (verdict[count] > 0 ? [[count, verdict[count]]] : [])));
  expect(found).toEqual(counts);
  expect(isGood(verdict)).toBe(false);
  for (const count of Object.keys(counts)) expect(verdict.findings.some((line) => line.startsWith(count))).toBe(true);
} // prettier-ignore

test('a sound page is good', () => {
  const verdict = verdictOn({});
  expect(verdict).toEqual({ acknowledged: 5, logged: 5, lost: 0, doubled: 0, diverged: 0, gaps: 0, seenThenGone: 0, findings: [] }); // prettier-ignore
  expect(isGood(sumOf([verdict, verdict]))).toBe(true);
  expect(sumOf([verdict, verdict]).acknowledged).toBe(10);
});

describe('lost', () => {
  test('acknowledged at a seq, and not in the log', () => {
    const acknowledged = new Map([[`${A} 4`, 6]]);
    expectOnly(verdictOn(ofFirst({ acknowledged })), { lost: 1 });
  });

  test('said to be there after a reconnect, and not in the log', () => {
    expectOnly(verdictOn(ofFirst({ acknowledged: new Map([[`${A} 4`, null]]) })), { lost: 1 });
  });

  test('acknowledged at another place than it has', () => {
    expectOnly(verdictOn(ofFirst({ acknowledged: new Map([[`${A} 2`, 2]]) })), { lost: 1 });
  });

  test('an edit that is in no change and was not handed back, while all is said to be saved', () => {
    const made = new Map([[`update ${block(2)}`, 2]]);
    expectOnly(verdictOn(ofFirst({ made })), { lost: 1 });
    expect(isGood(verdictOn(ofFirst({ made, handedBack: new Map(made).set(`update ${block(2)}`, 1) })))).toBe(
      true,
    );
    expect(isGood(verdictOn(ofFirst({ made, saved: false })))).toBe(true);
  });

  test('the end of the log, of which people were told', () => {
    const log = LOG.slice(0, 4);
    const testimonies = [testimony('client 1', A, LOG), testimony('client 2', B, LOG)];
    const shown = shownByLog(PAGE, log) as Testimony['shown'];
    const verdict = verdictOn({ log, head: 4, testimonies: testimonies.map((one) => ({ ...one, shown })) });
    // Acknowledged, and made.
    expectOnly(verdict, { lost: 2, seenThenGone: 1 });
  });
});

describe('doubled', () => {
  test('a change that is in the log twice', () => {
    const log = [...LOG, change(6, A, 3, update(1, 3))];
    const shown = shownByLog(PAGE, log) as Testimony['shown'];
    const verdict = verdictOn(({ testimonies }) => ({ log, head: 6, testimonies: testimonies.map((one) => ({ ...one, shown })) })); // prettier-ignore
    // The change, and its op.
    expectOnly(verdict, { doubled: 2 });
  });

  test('an op that is in the log again, under another n', () => {
    const log = [...LOG, change(6, A, 4, update(2, 1))];
    const shown = shownByLog(PAGE, log) as Testimony['shown'];
    const verdict = verdictOn(({ testimonies }) => ({ log, head: 6, testimonies: testimonies.map((one) => ({ ...one, shown })) })); // prettier-ignore
    expectOnly(verdict, { doubled: 1 });
  });

  test('an op that was handed back, and is in the log', () => {
    expectOnly(verdictOn(ofFirst({ handedBack: new Map([[`update ${block(1)}`, 1]]) })), { doubled: 1 });
  });
});

describe('diverged', () => {
  test('a copy that shows something else', () => {
    const shown = shownByLog(PAGE, LOG.slice(0, 4)) as Testimony['shown'];
    expectOnly(verdictOn(ofFirst({ shown })), { diverged: 1 });
  });

  test('a copy that was found to differ, and repaired', () => {
    expectOnly(verdictOn(ofFirst({ alarms: 2 })), { diverged: 2 });
  });

  test('a log that cannot be folded is no copy’s', () => {
    const log = LOG.map((one) => (one.seq === 3 ? { ...one, body: new Uint8Array([0xc1]) } : one));
    const verdict = verdictOn({ log });
    expect(verdict.diverged).toBe(2);
    expect(verdict.findings.join()).toContain('cannot be folded');
  });
});

describe('gaps', () => {
  const renumbered = (from: number, by: number) => (sound: PageEvidence) => ({
    log: LOG.map((one) => (one.seq < from ? one : { ...one, seq: one.seq + by })),
    head: 5 + by,
    testimonies: sound.testimonies.map((one) => ({ ...one, seen: new Map(), acknowledged: new Map() })),
  });

  test('a seq that is missing', () => {
    expectOnly(verdictOn(renumbered(4, 1)), { gaps: 1 });
    expectOnly(verdictOn(renumbered(3, 3)), { gaps: 3 });
    expectOnly(verdictOn(renumbered(1, 1)), { gaps: 1 });
  });

  test('a seq that is there twice', () => {
    const log = LOG.map((one) => (one.seq === 5 ? { ...one, seq: 4 } : one));
    expect(verdictOn({ log, head: 4 }).gaps).toBe(1);
  });

  test('a change of a replica that is missing between others', () => {
    const log = LOG.map((one) => (one.seq === 5 ? { ...one, n: 4 } : one));
    expectOnly(
      verdictOn((sound) => ({ log, testimonies: renumbered(9, 0)(sound).testimonies })),
      { gaps: 1 },
    );
  });

  test('a head that is not the end of the log', () => {
    expectOnly(verdictOn({ head: 6 }), { gaps: 1 });
    expectOnly(verdictOn({ head: 4 }), { gaps: 1 });
  });
});

describe('seen, then gone', () => {
  test('shown as stored, and not in the log', () => {
    expectOnly(verdictOn(ofFirst({ seen: new Map([[6, `${B} 3`]]) })), { seenThenGone: 1 });
  });

  test('shown as stored at a place where the log has something else', () => {
    expectOnly(verdictOn(ofFirst({ seen: new Map([[4, `${B} 3`]]) })), { seenThenGone: 1 });
  });
});
