/**
 * The MessagePack reader and writer against examples of the specification, made by hand from its format tables, and
 * against hostile input: what is declared and not there, what is nested without end, what names a prototype.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JsonValue } from '../base/json.ts';
import { MsgpackError, MsgpackReader } from './msgpack-reader.ts';
import { MsgpackWriter } from './msgpack-writer.ts';

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const written = (write: (writer: MsgpackWriter) => unknown) => {
  const writer = new MsgpackWriter(1);
  write(writer);
  return hexOf(writer.take());
};
const reader = (hex: string) => new MsgpackReader(bytesOf(hex));

/** Shortest forms at every border of the formats: value and bytes, from the specification. */
const INTEGERS: [number, string][] = [
  [0, '00'],
  [127, '7f'],
  [128, 'cc 80'],
  [255, 'cc ff'],
  [256, 'cd 01 00'],
  [65535, 'cd ff ff'],
  [65536, 'ce 00 01 00 00'],
  [4294967295, 'ce ff ff ff ff'],
  [4294967296, 'cf 00 00 00 01 00 00 00 00'],
  [Number.MAX_SAFE_INTEGER, 'cf 00 1f ff ff ff ff ff ff'],
  [-1, 'ff'],
  [-32, 'e0'],
  [-33, 'd0 df'],
  [-128, 'd0 80'],
  [-129, 'd1 ff 7f'],
  [-32768, 'd1 80 00'],
  [-32769, 'd2 ff ff 7f ff'],
  [-2147483648, 'd2 80 00 00 00'],
  [-2147483649, 'd3 ff ff ff ff 7f ff ff ff'],
  [-Number.MAX_SAFE_INTEGER, 'd3 ff e0 00 00 00 00 00 01'],
];

describe('numbers', () => {
  test.each(INTEGERS)('W6 %d has its shortest form, and comes back', (value, hex) => {
    expect(written((w) => w.int(value))).toBe(hex.replaceAll(' ', ''));
    expect(reader(hex).json(0)).toBe(value);
    if (value >= 0) expect(reader(hex).uint()).toBe(value);
    else expect(() => reader(hex).uint()).toThrow(MsgpackError);
  });

  test('W6 wider forms than need be are read', () => {
    for (const hex of ['05', 'cc05', 'cd0005', 'ce00000005', 'cf0000000000000005', 'd005', 'd10005', 'd200000005', 'd30000000000000005', 'ca40a00000', 'cb4014000000000000'])
      expect([hex, reader(hex).uint()]).toEqual([hex, 5]);
  }); // prettier-ignore

  test('W6 64-bit integers past 2^53 − 1 are refused, not rounded', () => {
    for (const hex of ['cf0020000000000000', 'cfffffffffffffffff', 'd3ffe0000000000000', 'd38000000000000000', 'd37fffffffffffffff']) {
      expect(() => reader(hex).json(0)).toThrow(MsgpackError);
      expect(() => reader(hex).uint()).toThrow(MsgpackError);
      expect(hexOf(reader(hex).rawValue())).toBe(hex);
    }
  }); // prettier-ignore

  test('W6 floats: finite ones only; minus zero stays a float', () => {
    expect(reader('cb3ff199999999999a').json(0)).toBe(1.1);
    expect(reader('ca3fc00000').json(0)).toBe(1.5);
    expect(written((w) => w.number(1.1))).toBe('cb3ff199999999999a');
    expect(written((w) => w.number(-0))).toBe('cb8000000000000000');
    for (const hex of ['cb7ff0000000000000', 'cb7ff8000000000000', 'ca7f800000', 'ca7fc00000'])
      expect(() => reader(hex).json(0)).toThrow(MsgpackError);
    expect(() => reader('cb3fe0000000000000').uint()).toThrow(MsgpackError);
  });
});

describe('strings, bins, arrays, maps', () => {
  test('W6 have their shortest heads at every border', () => {
    const head = (hex: string, length: number) => hex.slice(0, length);
    for (const [count, expected] of [[0, 'a0'], [31, 'bf'], [32, 'd920'], [255, 'd9ff'], [256, 'da0100'], [65535, 'daffff'], [65536, 'db00010000']] as const) {
      const hex = written((w) => w.str('x'.repeat(count)));
      expect(head(hex, expected.length)).toBe(expected);
      expect(reader(hex).str(count)).toHaveLength(count);
    }
    for (const [count, expected] of [[0, 'c400'], [255, 'c4ff'], [256, 'c50100'], [65535, 'c5ffff'], [65536, 'c600010000']] as const) {
      const hex = written((w) => w.bin(new Uint8Array(count)));
      expect(head(hex, expected.length)).toBe(expected);
      expect(reader(hex).bin(count)).toHaveLength(count);
    }
    for (const [count, array, map] of [[0, '90', '80'], [15, '9f', '8f'], [16, 'dc0010', 'de0010'], [65535, 'dcffff', 'deffff'], [65536, 'dd00010000', 'df00010000']] as const) {
      expect([written((w) => w.array(count)), written((w) => w.map(count))]).toEqual([array, map]);
      expect(reader(array + '00'.repeat(count)).array()).toBe(count);
      expect(reader(map + '00'.repeat(2 * count)).map()).toBe(count);
    }
  }); // prettier-ignore

  test('W1 the example of the specification’s front page', () => {
    const hex = '82 a7 63 6f 6d 70 61 63 74 c3 a6 73 63 68 65 6d 61 00';
    expect(reader(hex).json(1)).toEqual({ compact: true, schema: 0 });
    expect(written((w) => w.json({ compact: true, schema: 0 }))).toBe(hex.replaceAll(' ', ''));
  });

  test('W7 a string that is not ASCII, short and long, keeps its bytes; bad UTF-8 is refused', () => {
    for (const text of ['é', '🎈', '\ufeffmark', 'ü'.repeat(40)]) {
      const hex = written((w) => w.str(text));
      expect(reader(hex).str(1000)).toBe(text);
    }
    for (const hex of ['a1ff', 'a2c328', 'a3eda080', 'a2c080', 'd920' + 'ff'.repeat(32)])
      expect(() => reader(hex).str(1000)).toThrow(MsgpackError);
  });

  test('W7 limits count bytes, not characters', () => {
    expect(() => reader('a2c3a9').str(1)).toThrow(MsgpackError);
    expect(reader('a2c3a9').str(2)).toBe('é');
  });

  test('W3 skip steps over every format of the specification', () => {
    const extensions = ['d4 01 00', 'd5 01 0000', 'd6 01 00000000', `d7 01 ${'00'.repeat(8)}`, `d8 01 ${'00'.repeat(16)}`,
      'c7 03 01 000000', 'c8 0003 01 000000', 'c9 00000003 01 000000'];
    const others = ['c0', 'c2', 'c3', 'ca 00000000', 'cb 0000000000000000', 'c4 01 00', 'c5 0001 00', 'c6 00000001 00',
      'd9 01 61', 'da 0001 61', 'db 00000001 61', '92 01 02', 'dc 0001 01', 'dd 00000001 01', '81 01 02', 'de 0001 01 02', 'df 00000001 01 02'];
    for (const hex of [...extensions, ...others, ...INTEGERS.map(([, bytes]) => bytes)]) {
      const r = reader(`${hex} 2a`);
      r.skip();
      expect([hex, r.uint()]).toEqual([hex, 42]);
    }
    expect(() => reader('c1').skip()).toThrow(MsgpackError);
  }); // prettier-ignore
});

describe('hostile input', () => {
  const declared = [
    'dbffffffff',
    'c6ffffffff',
    'ddffffffff',
    'dfffffffff',
    'c9ffffffff',
    'df80000000',
    'dd7fffffff00',
  ];
  test.each(declared)('W8 %s declares what is not there', (hex) => {
    const before = process.memoryUsage().arrayBuffers;
    for (const read of [
      (r: MsgpackReader) => r.skip(),
      (r: MsgpackReader) => r.rawValue(),
      (r: MsgpackReader) => r.json(16),
    ])
      expect(() => read(reader(hex))).toThrow(MsgpackError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
  });

  test('W8 nesting 10^5 deep overflows nothing', () => {
    const depth = 100_000;
    for (const [open, size] of [[0x91, 1], [0x81, 2]] as const) {
      const bytes = new Uint8Array(depth * size + 1).fill(open);
      if (size === 2) for (let i = 1; i < bytes.length; i += 2) bytes[i] = 0xa0;
      bytes[bytes.length - 1] = 0xc0;
      const r = new MsgpackReader(bytes);
      expect(r.rawValue()).toHaveLength(bytes.length);
      expect(() => new MsgpackReader(bytes).json(64)).toThrow('nested too deeply');
    }
  }); // prettier-ignore

  test('W9 `__proto__` and its like are only keys', () => {
    const hex = written((w) => {
      w.map(2).str('__proto__').map(1).str('polluted').bool(true);
      w.str('constructor').int(1);
    });
    const value = reader(hex).json(4) as { [key: string]: JsonValue };
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(written((w) => w.json(value))).toBe(hex);
  });

  test('W2 a reader never runs past its view of a larger buffer', () => {
    const whole = bytesOf('93 01 02 03 a5 68 65 6c 6c 6f');
    expect(() => new MsgpackReader(whole.subarray(0, 3)).skip()).toThrow(MsgpackError);
    expect(() => new MsgpackReader(whole.subarray(4, 7)).str(10)).toThrow(MsgpackError);
    expect(new MsgpackReader(whole.subarray(4)).str(10)).toBe('hello');
  });

  test('W2 property: any bytes give a value or MsgpackError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [(r: MsgpackReader) => r.json(16), (r: MsgpackReader) => r.rawValue()]) {
          try {
            read(new MsgpackReader(bytes));
          } catch (error) {
            // Only bad input may come out of it.
            if (!(error instanceof MsgpackError)) throw error;
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('W1 property: a JSON value comes back, and skip agrees with json on where it ends', () => {
    const json = fc.jsonValue({ maxDepth: 6 }).filter((value) => !JSON.stringify(value).includes('-0'));
    fc.assert(
      fc.property(json, (value) => {
        const w = new MsgpackWriter(4);
        w.json(value as JsonValue).int(42);
        const [a, b] = [new MsgpackReader(w.take()), new MsgpackReader(w.take())];
        expect(a.json(16)).toEqual(value);
        b.skip();
        expect([a.offset, b.uint()]).toEqual([b.offset - 1, 42]);
      }),
      { numRuns: 1000 },
    );
  });
});
