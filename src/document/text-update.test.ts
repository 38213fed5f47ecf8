/**
 * The scanner of Yjs updates against Yjs itself: what honest editors send is read as Yjs reads it, and whatever the
 * scanner lets through a real document takes in without throwing and without leaving anything pending.
 */
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { docOf, editAtRandom, hasPending } from '../../test/support/text-edits.ts';
import { randomBelow, seededRandom } from '../base/random.ts';
import { continues, scanTextUpdate, type TextShape } from './text-update.ts';

function scanned(update: Uint8Array): TextShape {
  const shape = scanTextUpdate(update);
  if ('malformed' in shape) expect.fail(shape.malformed);
  return shape;
}

const isRefused = (update: Uint8Array) => 'malformed' in scanTextUpdate(update);

const heldBy = (doc: Y.Doc) => {
  const clocks = Y.decodeStateVector(Y.encodeStateVector(doc));
  return (client: number) => clocks.get(client) ?? 0;
};

// ── writing updates by hand ──────────────────────────────────────────────────────────────────────────────────────────

function uint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(128 | (value % 128));
  return [...bytes, value];
}
const str = (text: string) => {
  const bytes = new TextEncoder().encode(text);
  return [...uint(bytes.length), ...bytes];
};
const root = [1, ...str('text')];
const item = {
  string: (text: string) => [4, ...root, ...str(text)],
  deleted: (length: number) => [1, ...root, ...uint(length)],
  embed: (json: string) => [5, ...root, ...str(json)],
  format: (key: string, json: string) => [6, ...root, ...str(key), ...str(json)],
  after: (client: number, clock: number, text: string) => [
    0x84,
    ...uint(client),
    ...uint(clock),
    ...str(text),
  ],
} as const;

interface ByHand {
  readonly client?: number;
  readonly clock?: number;
  readonly items?: readonly number[][];
  readonly deletes?: readonly (readonly [client: number, clock: number, length: number])[];
}

function update({ client = 1, clock = 0, items = [], deletes = [] }: ByHand): Uint8Array {
  const structs = items.length ? [1, ...uint(items.length), ...uint(client), ...uint(clock), ...items.flat()] : [0];
  const ranges = deletes.flatMap(([c, from, length]) => [...uint(c), 1, ...uint(from), ...uint(length)]);
  return Uint8Array.from([...structs, ...uint(deletes.length), ...ranges]);
} // prettier-ignore

// ── the tests ────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('what editors send', () => {
  test('D18 every update of every edit is read as Yjs reads it', () => {
    let seen = 0;
    for (let seed = 1; seed <= 60; seed++) {
      for (const { client, update } of editAtRandom(seed, 3, 40)) {
        const shape = scanned(update);
        const { from, to } = Y.parseUpdateMeta(update);
        expect([...to.keys()]).toEqual(shape.client === null ? [] : [client]);
        expect([shape.from, shape.to]).toEqual([from.get(client) ?? 0, to.get(client) ?? 0]);
        expect(new Map(shape.needs)).toEqual(needsByYjs(update, shape));
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(1500);
  });

  /** The same clocks, from Yjs' own decoder. */
  function needsByYjs(bytes: Uint8Array, { client, to }: TextShape): Map<number, number> {
    const { structs, ds } = Y.decodeUpdate(bytes);
    const needs = new Map<number, number>();
    const need = (of: number, clock: number) => {
      if (clock > (needs.get(of) ?? 0)) needs.set(of, clock);
    };
    for (const struct of structs) {
      const { origin, rightOrigin } = struct as Y.Item;
      for (const id of [origin, rightOrigin]) if (id && id.client !== client) need(id.client, id.clock + 1);
    }
    for (const [of, ranges] of ds.clients) {
      for (const { clock, len } of ranges) if (of !== client || clock + len > to) need(of, clock + len);
    }
    return needs;
  }

  test('D19 continues says exactly whether Yjs would leave something pending', () => {
    let [whole, pending] = [0, 0];
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const log = editAtRandom(seed, 3, 30).map(({ update }) => update);
      const taken: Uint8Array[] = [];
      for (const update of log) {
        const doc = docOf(taken);
        const expected = continues(scanned(update), heldBy(doc));
        Y.applyUpdate(doc, update);
        if (hasPending(doc) === expected) expect.fail(`seed ${seed}: continues was ${expected}`);
        if (expected) whole++;
        else pending++;
        // Now and then an update is lost, and what builds on it must be recognised.
        if (expected && randomBelow(random, 10) > 0) taken.push(update);
      }
    }
    expect(Math.min(whole, pending)).toBeGreaterThan(200);
  });

  test('D19 an update that is held already, or in part, does not continue: copies could read it differently', () => {
    const log = editAtRandom(7, 1, 30).map(({ update }) => update);
    const doc = docOf(log);
    const all = Y.encodeStateAsUpdate(doc);
    expect(continues(scanned(log[3]!), heldBy(doc))).toBe(false);
    const half = docOf(log.slice(0, 15));
    expect(continues(scanned(all), heldBy(half))).toBe(false);
    expect(continues(scanned(all), () => 0)).toBe(true);
  });
});

describe('what is refused', () => {
  test('D18 the hand-made updates are sound: Yjs takes them', () => {
    const honest = update({
      items: [item.string('ab'), item.after(1, 1, 'c'), item.deleted(2)],
      deletes: [[1, 0, 1]],
    });
    expect(scanned(honest)).toMatchObject({ client: 1, from: 0, to: 5, ownDeletesTo: 1 });
    expect(docOf([honest]).getText('text').toDelta()).toEqual([{ insert: 'bc' }]);
    for (const one of [item.embed('{"a":1}'), item.format('bold', 'true')]) {
      const { to } = scanned(update({ items: [one] }));
      expect(to).toBe(1);
      expect(hasPending(docOf([update({ items: [one] })]))).toBe(false);
    }
  });

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a GC struct', update({ items: [[0, ...uint(5)]] })],
    ['a Skip struct', update({ items: [[10, ...uint(5)]] })],
    ['the 14-byte GC struct that blocks a client id', Uint8Array.of(1, 1, 255, 255, 255, 255, 15, 0, 0, 255, 255, 255, 7, 0)],
    ['a nested type', update({ items: [[7, ...root, 2]] })],
    ['JSON content', update({ items: [[2, ...root, 1, ...str('1')]] })],
    ['binary content', update({ items: [[3, ...root, 1, 0]] })],
    ['any content', update({ items: [[8, ...root, 1, 126]] })],
    ['a subdocument', update({ items: [[9, ...root, ...str('x'), 118, 0]] })],
    ['another root', update({ items: [[4, 1, ...str('other'), ...str('x')]] })],
    ['a parent by id', update({ items: [[4, 0, 1, 0, ...str('x')]] })],
    ['a key', update({ items: [[0x24, ...root, ...str('key'), ...str('x')]] })],
    ['two clients', Uint8Array.from([2, 1, 1, 0, ...item.string('x'), 1, 2, 0, ...item.string('x'), 0])],
    ['a client without structs', Uint8Array.of(1, 0, 1, 0, 0)],
    ['an empty string', update({ items: [item.string('')] })],
    ['a deletion of length 0', update({ items: [item.deleted(0)] })],
    ['an embed that is not JSON', update({ items: [item.embed('{')] })],
    ['an embed that is the word undefined', update({ items: [item.embed('undefined')] })],
    ['a format that is not JSON', update({ items: [item.format('bold', 'yes')] })],
    ['a format that is the word undefined', update({ items: [item.format('bold', 'undefined')] })],
    ['an embed nested 100,000 deep', update({ items: [item.embed('['.repeat(1e5) + ']'.repeat(1e5))] })],
    ['a format nested 100,000 deep', update({ items: [item.format('a', '{"a":'.repeat(1e5) + '1' + '}'.repeat(1e5))] })],
    ['an embed that JSON would write back as null', update({ items: [item.embed('[1e999]')] })],
    ['a string that is not UTF-8', update({ items: [[4, ...root, 2, 0xc3, 0x28]] })],
    ['bytes after its end', Uint8Array.from([...update({ items: [item.string('x')] }), 0])],
    ['an origin that lies ahead', update({ items: [item.after(1, 0, 'x')] })],
    ['a clock past 2^31', update({ clock: 2 ** 31, items: [item.string('x')] })],
    ['a length past 2^31', update({ items: [item.deleted(2 ** 31)] })],
    ['a deleted range of length 0', update({ items: [item.string('x')], deletes: [[2, 0, 0]] })],
  ])('D18 %s', (_what, bytes) => {
    expect(isRefused(bytes)).toBe(true);
  }); // prettier-ignore

  test('D18 V2 updates', () => {
    let accepted = 0;
    for (const { update } of editAtRandom(3, 2, 200)) {
      const v2 = Y.convertUpdateFormatV1ToV2(update);
      if (!isRefused(v2)) accepted++;
    }
    expect(accepted).toBe(0);
  });

  test('D18 what another client’s answer to a state vector carries: structs of two clients', () => {
    const doc = docOf(editAtRandom(5, 3, 60).map(({ update }) => update));
    expect(isRefused(Y.encodeStateAsUpdate(doc))).toBe(true);
  });
});

describe('hostile bytes', () => {
  test('W2 random bytes never throw', () => {
    const random = seededRandom(11);
    for (let i = 0; i < 10_000; i++) scanTextUpdate(random.bytes(randomBelow(random, 40)));
    for (let i = 0; i < 10_000; i++) {
      const bytes = random.bytes(randomBelow(random, 40) + 12);
      bytes.set([1, 1 + randomBelow(random, 3), 1, 0, 4 + randomBelow(random, 3), ...root]);
      scanTextUpdate(bytes);
    }
  });

  test('D19 a mutated update that is let through is taken in whole', () => {
    const random = seededRandom(12);
    let taken = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const log = editAtRandom(seed, 2, 12).map(({ update }) => update);
      for (let i = 0; i < 120; i++) {
        const at = randomBelow(random, log.length);
        const mutated = mutate(log[at]!, random);
        const shape = scanTextUpdate(mutated);
        if ('malformed' in shape) continue;
        const before = log.slice(0, at);
        const doc = docOf(before);
        if (!continues(shape, heldBy(doc))) continue;
        integrates(doc, before, mutated, shape);
        taken++;
      }
    }
    expect(taken).toBeGreaterThan(400);
  });

  test('D19 hand-made updates of any allowed shape that are let through are taken in whole', () => {
    const random = seededRandom(13);
    const below = (bound: number) => randomBelow(random, bound);
    let taken = 0;
    for (let trial = 0; trial < 400; trial++) {
      const before: Uint8Array[] = [];
      for (let i = 0; i < 8; i++) {
        const items = Array.from({ length: below(4) }, () => {
          const kind = below(5);
          if (kind === 0) return item.string(['a', 'xyz', '😀', '\u0000'][below(4)]!);
          if (kind === 1) return item.deleted(1 + below(3));
          if (kind === 2) return item.embed(['null', '[]', '{"__proto__":1}', '1e999', '""'][below(5)]!);
          if (kind === 3) return item.format(['bold', '__proto__', ''][below(3)]!, ['null', '{}', '"x"'][below(3)]!);
          const origin = [...uint(1 + below(3)), ...uint(below(6))];
          const right = below(2) ? [...uint(1 + below(3)), ...uint(below(6))] : [];
          return [right.length ? 0xc4 : 0x84, ...origin, ...right, ...str('o')];
        });
        const deletes = Array.from({ length: below(3) }, () => [1 + below(3), below(5), below(4)] as const);
        const bytes = update({ client: 1 + below(3), clock: below(6), items, deletes });
        const shape = scanTextUpdate(bytes);
        if ('malformed' in shape) continue;
        const doc = docOf(before);
        if (!continues(shape, heldBy(doc))) continue;
        integrates(doc, before, bytes, shape);
        before.push(bytes);
        taken++;
      }
    }
    expect(taken).toBeGreaterThan(250);
  }); // prettier-ignore

  /** Applies it, and does with the result what the server and its clients will do. */
  function integrates(doc: Y.Doc, before: Uint8Array[], bytes: Uint8Array, shape: TextShape): void {
    const clock = shape.client === null ? 0 : Math.max(heldBy(doc)(shape.client), shape.to);
    Y.applyUpdate(doc, bytes);
    if (hasPending(doc)) expect.fail(`pending after ${Buffer.from(bytes).toString('hex')}`);
    if (shape.client !== null) expect(heldBy(doc)(shape.client)).toBe(clock);
    doc.getText('text').toDelta();
    const merged = docOf([Y.mergeUpdates([...before, bytes])]);
    expect(hasPending(merged)).toBe(false);
    // Not that both read the same: origins that no editor would choose place text by the order of arrival.
    merged.getText('text').toDelta();
    docOf([Y.encodeStateAsUpdate(doc)]);
  }

  function mutate(original: Uint8Array, random: ReturnType<typeof seededRandom>): Uint8Array {
    const bytes = [...original];
    for (let edits = 1 + randomBelow(random, 2); edits > 0; edits--) {
      const at = randomBelow(random, bytes.length);
      switch (randomBelow(random, 5)) {
        case 0:
          bytes[at] = randomBelow(random, 256);
          break;
        case 1:
          bytes[at] = bytes[at]! ^ (1 << randomBelow(random, 8));
          break;
        case 2:
          bytes[at] = (bytes[at]! + 1 + randomBelow(random, 2) * 254) & 255;
          break;
        case 3:
          bytes.splice(at, 1);
          break;
        default:
          bytes.splice(at, 0, randomBelow(random, 8));
      }
    }
    return Uint8Array.from(bytes);
  }
});
