/**
 * A test of the code itself: the rules of style that a machine can check. Each message says what to do instead.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { expect, test } from 'vitest';

const LINES_MAX = 350;
const TEST_LINES_MAX = 600;

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly isTest: boolean;
}

function sources(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const path = relative('.', join(entry.parentPath, entry.name));
      const isTest = path.startsWith('test/') || path.endsWith('.test.ts');
      return { path, text: readFileSync(path, 'utf8'), isTest };
    });
}

const files = ['src', 'test', 'bench'].flatMap(sources);
const product = files.filter((file) => !file.isTest && file.path.startsWith('src/'));

/** Code without comments and strings, roughly: enough to look for words in it. */
function code(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/\/\/.*$/gm, '').replaceAll(/'(?:[^'\\\n]|\\.)*'/g, "''");
} // prettier-ignore

function expectNone(faults: string[], remedy: string): void {
  expect(faults, remedy).toEqual([]);
}

test('files are small', () => {
  const faults = files
    .map(({ path, text, isTest }) => ({ path, lines: text.split('\n').length - 1, max: isTest ? TEST_LINES_MAX : LINES_MAX }))
    .filter(({ lines, max }) => lines > max);
  expectNone(faults.map(({ path, lines }) => `${path}: ${lines}`), 'split by concept: decisions into pure modules first');
}); // prettier-ignore

test('every file opens with what it is', () => {
  const faults = files.filter(({ text }) => !/^(#!.*\n)?(\/\*\*|\/\/)/.test(text));
  expectNone(faults.map(({ path }) => path), 'begin with a comment: what it is, its invariants, who calls it');
}); // prettier-ignore

test('time and randomness are parameters', () => {
  const banned = /\b(Date\.now|setTimeout|setInterval|setImmediate|Math\.random|randomBytes|randomUUID|getRandomValues)\b/;
  const allowed = new Set(['src/base/time.ts', 'src/base/random.ts']);
  const faults = product.filter(({ path, text }) => !allowed.has(path) && banned.test(code(text)));
  expectNone(faults.map(({ path }) => path), 'take a Clock or a Random (src/base); the system’s are made there');
}); // prettier-ignore

test('protocol, document and markdown are pure', () => {
  const pure = product.filter(({ path }) => /^src\/(protocol|document|markdown)\//.test(path));
  const faults = pure.filter(({ text }) => /from 'node:/.test(text) || /\b(async|await)\b/.test(code(text)));
  expectNone(faults.map(({ path }) => path), 'no node: modules, nothing async: effects belong to the edge');
}); // prettier-ignore

/** What each folder may import, itself apart. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  protocol: ['base'],
  document: ['base', 'protocol'],
  markdown: ['base', 'protocol', 'document'],
  persistence: ['base', 'protocol', 'document'],
  actors: ['base', 'protocol', 'document', 'persistence'],
  workers: ['base', 'protocol', 'document', 'persistence', 'actors', 'process-log.ts'],
  gateway: ['base', 'protocol', 'document', 'workers'],
  client: ['base', 'protocol', 'document'],
};

test('imports point down', () => {
  const faults: string[] = [];
  for (const { path, text } of product) {
    const folder = path.split('/')[1]!;
    const allowed = MAY_IMPORT[folder];
    if (!allowed) continue;
    for (const [, target] of text.matchAll(/from '(\.[^']+)'/g)) {
      const [, to] = normalize(join(dirname(path), target!)).split('/');
      if (to !== folder && !allowed.includes(to!)) faults.push(`${path} → ${target}`);
    }
  }
  expectNone(faults, 'docs/architecture.md has the order of the folders');
});

test('actors know the store by its port only', () => {
  const faults = product.filter(
    ({ path, text }) => path.startsWith('src/actors/') && /persistence\/(?!log-store\.ts)/.test(text),
  );
  expectNone(faults.map(({ path }) => path), 'import types from persistence/log-store.ts');
}); // prettier-ignore

test('one file imports the uWebSockets.js addon', () => {
  const importers = product.filter(({ text }) => /(from|import\() ?'uWebSockets\.js'/.test(text));
  expect(importers.map(({ path }) => path)).toEqual(['src/gateway/uws-transport.ts']);
});

test('nothing is left for later', () => {
  const later = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
  const faults = files.filter(({ text }) => later.test(text));
  expectNone(faults.map(({ path }) => path), 'do it, or leave it out');
}); // prettier-ignore
