/**
 * A test of the code itself: the rules of style that a machine can check. Each message says what to do instead.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { expect, test } from 'vitest';
import { anchorsOf, codeOnly, exportedNames, functionsIn, importedFiles } from './support/source-code.ts';

const LINES_MAX = 350;
const TEST_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;
const EXPORTS_MAX = 5;

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly isTest: boolean;
}

function sources(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.parentPath.includes('node_modules'),
    )
    .map((entry) => {
      const path = relative('.', join(entry.parentPath, entry.name));
      const isTest = path.startsWith('test/') || path.endsWith('.test.ts');
      return { path, text: readFileSync(path, 'utf8'), isTest };
    });
}

const files = ['src', 'test', 'bench'].flatMap(sources);
const product = files.filter((file) => !file.isTest && file.path.startsWith('src/'));

function expectNone(faults: string[], remedy: string): void {
  expect(faults, remedy).toEqual([]);
}

/** A rule of docs/spec.md, at its definition. */
const RULE = /^- \*\*([WHDACGSK]\d+)\*\* /gm;
/** The ids that a test's title begins with: of `test('…'`, `it('…'` and `test.each(…)('…'`. */
const TITLE_IDS = /(?:\b(?:test|it)(?:\.\w+)*|\))\(\s*['"`]((?:[WHDACGSK]\d+ )+)/g;

const matchesOf = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, found]) => found!);
const rules = matchesOf(readFileSync('docs/spec.md', 'utf8'), RULE);
const rulesTested = files
  .filter(({ isTest }) => isTest)
  .flatMap(({ path, text }) =>
    matchesOf(text, TITLE_IDS).flatMap((ids) =>
      ids
        .trim()
        .split(' ')
        .map((id) => ({ path, id })),
    ),
  );

test('every rule of the spec has a test', () => {
  const tested = new Set(rulesTested.map(({ id }) => id));
  const faults = rules.filter((id) => !tested.has(id));
  expect(rules.length).toBeGreaterThan(100);
  expectNone(
    faults,
    'begin the name of a test that proves it with its id, or drop the rule if it is not promised',
  );
});

test('no rule has the id of another', () => {
  const faults = rules.filter((id, i) => rules.indexOf(id) !== i);
  expectNone(faults, 'give the newer one the next free number of its section');
});

test('no test names a missing rule', () => {
  const known = new Set(rules);
  const faults = rulesTested.filter(({ id }) => !known.has(id));
  expectNone(faults.map(({ path, id }) => `${path}: ${id}`), 'write the rule into docs/spec.md, or correct the id');
}); // prettier-ignore

test('every test is run', () => {
  const config = readFileSync('vitest.config.ts', 'utf8');
  const included = matchesOf(config, /'((?:src|test)\/[^']*\.test\.ts)'/g).map(
    (glob) => new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('**/', '(.+/)?').replaceAll(/(?<!\))\*/g, '[^/]*')}$`),
  );
  const faults = files.filter(({ path }) => path.endsWith('.test.ts') && !included.some((glob) => glob.test(path)));
  expectNone(faults.map(({ path }) => path), 'move it to where vitest.config.ts looks, or add its folder there');
}); // prettier-ignore

test('files are small', () => {
  const faults = files
    .map(({ path, text, isTest }) => ({ path, lines: text.split('\n').length - 1, max: isTest ? TEST_LINES_MAX : LINES_MAX }))
    .filter(({ lines, max }) => lines > max);
  expectNone(faults.map(({ path, lines }) => `${path}: ${lines}`), 'split by concept: decisions into pure modules first');
}); // prettier-ignore

test('functions are short', () => {
  const faults = files.flatMap(({ path, text }) =>
    functionsIn(text)
      .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
      .map(({ line, lines }) => `${path}:${line}: ${lines}`),
  );
  expectNone(faults, `at most ${FUNCTION_LINES_MAX} lines: name its steps`);
});

test('a file exports few things', () => {
  const faults = product
    .map(({ path, text }) => ({ path, names: exportedNames(text) }))
    .filter(({ names }) => names.length > EXPORTS_MAX);
  expectNone(faults.map(({ path, names }) => `${path}: ${names.join(' ')}`), `at most ${EXPORTS_MAX} functions and classes, of which one is the point`);
}); // prettier-ignore

test('every file opens with what it is', () => {
  // What stands right before a declaration is about that, not about the file.
  const header = /^(#!.*\n)?(\/\*\*[\s\S]*?\*\/\n|(\/\/.*\n)+)(\n|import)/;
  const faults = files.filter(({ text }) => !header.test(text));
  expectNone(faults.map(({ path }) => path), 'begin with a comment: what it is, its invariants, who calls it');
}); // prettier-ignore

test('time and randomness are parameters', () => {
  const banned =
    /\b(Date\.now|new Date\(\)|performance\.now|hrtime|setTimeout|setInterval|setImmediate|Math\.random|randomBytes|randomUUID|getRandomValues)\b/;
  // The last gives a node of `octavo chaos` a wrong clock.
  const allowed = new Set(['src/base/time.ts', 'src/base/random.ts', 'src/chaos/inside-node.ts']);
  const faults = product.filter(({ path, text }) => !allowed.has(path) && banned.test(codeOnly(text)));
  expectNone(faults.map(({ path }) => path), 'take a Clock or a Random (src/base); the system’s are made there');
}); // prettier-ignore

test('protocol, document and markdown are pure', () => {
  const pure = product.filter(({ path }) => /^src\/(protocol|document|markdown)\//.test(path));
  const faults = pure.filter(({ text }) => /from 'node:/.test(text) || /\b(async|await)\b/.test(codeOnly(text)));
  expectNone(faults.map(({ path }) => path), 'no node: modules, nothing async: effects belong to the edge');
}); // prettier-ignore

/** What each folder may import, itself apart. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  protocol: ['base'],
  document: ['base', 'protocol'],
  markdown: ['base', 'protocol', 'document'],
  persistence: ['base', 'protocol', 'document'],
  cluster: ['base', 'protocol'],
  tracing: ['base'],
  actors: ['base', 'protocol', 'document', 'persistence'],
  repair: ['base', 'protocol', 'document', 'persistence', 'actors'],
  workers: ['base', 'protocol', 'document', 'persistence', 'cluster', 'tracing', 'actors', 'process-log.ts'],
  gateway: ['base', 'protocol', 'document', 'tracing', 'workers'],
  client: ['base', 'protocol', 'document'],
  load: ['base', 'protocol', 'document', 'client'],
  chaos: ['base', 'protocol', 'document', 'persistence', 'client', 'local-server.ts'],
};

test('imports point down', () => {
  const faults: string[] = [];
  for (const file of product) {
    const folder = file.path.split('/')[1]!;
    const allowed = MAY_IMPORT[folder];
    // The command line and main may use all there is.
    if (folder === 'cli' || folder.endsWith('.ts')) continue;
    for (const target of importedFiles(file)) {
      const to = target.split('/')[1]!;
      if (to !== folder && !allowed?.includes(to)) faults.push(`${file.path} → ${target}`);
    }
  }
  expectNone(faults, 'docs/architecture.md has the order of the folders; a new one gets its line here too');
});

test('no file imports itself by way of others', () => {
  const importsByPath = new Map(product.map((file) => [file.path, importedFiles(file)]));
  const done = new Set<string>();
  const faults: string[] = [];
  const walk = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) faults.push([...way.slice(way.indexOf(path)), path].join(' → '));
    if (way.includes(path) || done.has(path)) return;
    for (const target of importsByPath.get(path) ?? []) walk(target, [...way, path]);
    done.add(path);
  };
  for (const path of importsByPath.keys()) walk(path, []);
  expectNone(faults, 'move what both need below both');
});

test('the configuration is read at the edge', () => {
  const edge = /^src\/(cli\/.*|main\.ts|config\.ts|workers\/shard-thread\.ts)$/;
  const inner = product.filter(({ path }) => !edge.test(path));
  const readers = inner.filter(({ text }) => /\bprocess\.(env|exit)\b/.test(codeOnly(text)));
  expectNone(readers.map(({ path }) => path), 'take what you need as a parameter; main.ts and the commands know the environment');
  const importers = inner.filter((file) => importedFiles(file).includes('src/config.ts'));
  expectNone(importers.map(({ path }) => path), 'take the value, not the configuration');
}); // prettier-ignore

test('what is exported has one name and one place', () => {
  const faults = product.filter(
    ({ path, text }) =>
      path !== 'src/client/index.ts' && /^export (default|\*|\{[^}]*\} from)/m.test(codeOnly(text)),
  );
  expectNone(faults.map(({ path }) => path), 'export by name, import from the file itself; only the SDK has an index');
}); // prettier-ignore

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

test('nothing is left from looking for a fault', () => {
  const focus = /^\s*(test|it|describe)\.(only|skip|todo)\b|\bdebugger\b/m;
  const faults = files.filter(
    ({ path, text }) =>
      focus.test(codeOnly(text)) || (path.startsWith('src/') && /\bconsole\./.test(codeOnly(text))),
  );
  expectNone(faults.map(({ path }) => path), 'take it out; what an operator should know goes to the log');
}); // prettier-ignore

test('no file is left over', () => {
  const entries = new Set([
    'src/cli/octavo.ts',
    'src/client/index.ts',
    'src/workers/shard-thread.ts',
    'src/chaos/inside-node.ts',
    'src/chaos/network-thread.ts',
    'src/load/swarm-thread.ts',
    'src/load/pacer-thread.ts',
  ]);
  const used = new Set(files.flatMap(importedFiles));
  const faults = product.filter(({ path }) => !used.has(path) && !entries.has(path));
  expectNone(faults.map(({ path }) => path), 'nothing imports it: delete it');
}); // prettier-ignore

test('documents are where they are said to be', () => {
  const pages = ['.', 'docs', 'docs/decisions', 'bench', 'test'].flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.md')).map((name) => join(folder, name)) : [],
  );
  const faults: string[] = [];
  for (const path of pages) {
    const text = readFileSync(path, 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');
    for (const [, target] of text.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)) {
      const [file, anchor] = target!.split('#');
      const to = file ? normalize(join(dirname(path), file)) : path;
      const found = existsSync(to) && (!anchor || anchorsOf(readFileSync(to, 'utf8')).has(anchor));
      if (!found) faults.push(`${path}: ${target}`);
    }
  }
  for (const { path, text } of [...files, ...pages.map((page) => ({ path: page, text: readFileSync(page, 'utf8') }))]) {
    for (const [name] of text.matchAll(/\bdocs\/[\w/-]+\.(?:md|json)\b/g)) if (!existsSync(name)) faults.push(`${path}: ${name}`);
  }
  expectNone(faults, 'correct the link, or write what it promises');
}); // prettier-ignore

test('the scanner tells code from text, and functions from other blocks', () => {
  const text = [
    'const a = "} // {"; // {',
    'const b = `{${[1].map((x) => { return `${x}}`; })}{`; /* { */',
    "if (/[/{]/.test(b)) { f('{'); }",
    'class C { async m<T>(x: { y: T }): Promise<{ z: T }> {',
    '} }',
    'export const g = (n: number): number => { return n / 2 / n; };',
    'export function h() { while (a) { b(); }',
    '}',
  ].join('\n');
  expect(codeOnly(text)).toHaveLength(text.length);
  expect(codeOnly(text)).not.toMatch(/["'`/]. *[{}]["'`/]/);
  expect(functionsIn(text).filter(({ lines }) => lines > 1)).toEqual([{ line: 4, lines: 2 }, { line: 7, lines: 2 }]);
  expect(functionsIn(text).filter(({ lines }) => lines === 1).map(({ line }) => line)).toEqual(expect.arrayContaining([2, 6]));
  expect(functionsIn(text).map(({ line }) => line)).not.toContain(3);
  expect(exportedNames(text).sort()).toEqual(['g', 'h']);
  expect(anchorsOf('# A\n## 5.1 What, now?\n')).toEqual(new Set(['a', '51-what-now']));
}); // prettier-ignore
