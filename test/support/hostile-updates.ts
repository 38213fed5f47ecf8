/**
 * Yjs updates that no honest editor sends: the known attacks, and what is nearly right. Written by hand, byte by byte, so
 * that they say what they are.
 */
import * as Y from 'yjs';

export function uint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(128 | (value % 128));
  return [...bytes, value];
}
const str = (text: string): number[] => {
  const bytes = Buffer.from(text);
  return [...uint(bytes.length), ...bytes];
};
const ROOT = [1, ...str('text')];
const HUGE = 0x7fff_ffff;

const of = (...parts: (number | number[])[]) => Uint8Array.from(parts.flat());
/** Structs of one client from a clock, then a delete set. */
const update = (client: number, clock: number, items: number[][], deletes: number[] = [0]) =>
  of(1, uint(items.length), uint(client), uint(clock), items.flat(), deletes);

function documentOf(write: (doc: Y.Doc) => void, encode = Y.encodeStateAsUpdate): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = 77;
  write(doc);
  return encode(doc);
}

/** Each is refused, as what is said; `victim` is a Yjs client id that somebody else writes under. */
export function hostileUpdates(victim: number): readonly (readonly [what: string, code: 'malformed' | 'not_yours' | 'missing', bytes: Uint8Array])[] {
  const text = (body: string): number[] => [4, ...ROOT, ...str(body)];
  return [
    ['18 bytes under a victim’s client id', 'not_yours', update(victim, 0, [text('x')])],
    ['a GC struct that blocks a client id for ever', 'malformed', of(1, 1, uint(victim), 0, 0, 255, 255, 255, 7, 0)],
    ['a Skip struct', 'malformed', update(77, 0, [[10, ...uint(HUGE)]])],
    ['the second version of the encoding', 'malformed', documentOf((doc) => doc.getText('text').insert(0, 'hello'), Y.encodeStateAsUpdateV2)],
    ['a V2 update that declares structs without bound', 'malformed', of(0, 0, 5, 1, 1, 255, 255, 255, 255, 15, 0, 0, 0, 0, 0, 0, 0)],
    ['2^31 clients', 'malformed', of(uint(HUGE), 1, 1, 0)],
    ['2^31 structs', 'malformed', of(1, uint(HUGE), 77, 0, text('x'))],
    ['2^31 deleted ranges', 'malformed', of(0, 1, 5, uint(HUGE), 0, 1)],
    ['a string of 2^31 bytes', 'malformed', of(1, 1, 77, 0, 4, ROOT, uint(HUGE), 120)],
    ['a number without an end', 'malformed', of(1, 1, Array.from({ length: 20 }, () => 255))],
    ['deletions of clocks that nobody holds', 'missing', of(0, 1, uint(victim), 1, uint(1_000_000), uint(5))],
    ['deletions past what a client holds', 'missing', of(0, 1, uint(victim), 1, 0, uint(HUGE - 1))],
    ['an origin that is not held', 'missing', update(77, 0, [[0x84, ...uint(9999), 5, ...str('x')]])],
    ['a right origin that is not held', 'missing', update(77, 0, [[0x44, ...uint(9999), 5, ...str('x')]])],
    ['a clock far ahead', 'missing', update(77, 5000, [text('x')])],
    ['another root', 'malformed', documentOf((doc) => doc.getText('other').insert(0, 'x'))],
    ['the root `__proto__`', 'malformed', documentOf((doc) => doc.getText('__proto__').insert(0, 'x'))],
    ['a map under the root', 'malformed', documentOf((doc) => doc.getMap('text').set('a', 1))],
    ['a text within the text', 'malformed', documentOf((doc) => doc.getText('text').insertEmbed(0, new Y.Text('x')))],
    ['a subdocument', 'malformed', documentOf((doc) => doc.getMap('text').set('sub', new Y.Doc({ guid: 'x' })))],
    ['an array’s items', 'malformed', documentOf((doc) => doc.getArray('text').push([1, 2]))],
    ['bytes', 'malformed', documentOf((doc) => doc.getArray('text').push([new Uint8Array(3)]))],
    ['an attribute of the whole text', 'malformed', documentOf((doc) => doc.getText('text').setAttribute('a', 1))],
    ['an embed nested 40,000 deep', 'malformed', update(77, 0, [[5, ...ROOT, ...str('['.repeat(40_000) + ']'.repeat(40_000))]])],
    ['structs of two clients', 'malformed', Y.mergeUpdates([update(77, 0, [text('x')]), update(78, 0, [text('y')])])],
  ];
} // prettier-ignore

/** Odd, and sound: each is taken, and shown as Yjs shows it. */
export function oddUpdates(client: number): readonly (readonly [what: string, bytes: Uint8Array])[] {
  const made = (what: string, write: (text: Y.Text) => void): readonly [string, Uint8Array] => {
    const doc = new Y.Doc();
    doc.clientID = client;
    doc.transact(() => write(doc.getText('text')));
    return [what, Y.encodeStateAsUpdate(doc)];
  };
  const proto = JSON.parse('{"__proto__":{"polluted":1},"constructor":2}') as object;
  return [
    made('an attribute named `__proto__`', (text) => text.insert(0, 'abc', proto)),
    made('an attribute key of 10,000 characters', (text) => text.insert(0, 'x', { ['k'.repeat(10_000)]: true })),
    made('an embed with `__proto__` in it', (text) => text.insertEmbed(0, proto)),
    made('text that is deleted again', (text) => { text.insert(0, 'abcdef'); text.delete(1, 4); }),
    made('half an emoji', (text) => { text.insert(0, 'a😀b'); text.delete(1, 1); }),
    made('control characters and the ends of Unicode', (text) => text.insert(0, '\u0000\u0001\uffff\u{10ffff}')),
  ]; // prettier-ignore
}
