/**
 * The commands as a person uses them, against a running server found by DATA_DIR; and the README's example, run as it
 * stands there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, TEST_SECRET, testToken, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

let server: TestServer;
let folder: string;

beforeAll(async () => {
  server = await startServer();
  folder = await mkdtemp(join(tmpdir(), 'octavo-commands-'));
});

afterAll(async () => {
  await server?.dispose();
  await rm(folder, { recursive: true, force: true });
});

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function launch(args: readonly string[], input?: string): { child: ChildProcess; result: Promise<Result>; out(): string } {
  const env = { ...process.env, DATA_DIR: server.dataDir, JWT_SECRET: TEST_SECRET, HOST: '127.0.0.1' };
  const child = spawn(process.execPath, [...args], { env });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  const result = new Promise<Result>((resolve) => child.on('close', (code) => resolve({ code, out, err })));
  return { child, result, out: () => out };
} // prettier-ignore

const octavo = (args: readonly string[], input?: string) =>
  launch(['dist/cli/octavo.js', ...args], input).result;
const lastLine = (text: string) => text.trimEnd().split('\n').at(-1)!;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const SAMPLE = `# A heading

A paragraph with **bold**, *italic*, ~~struck~~, \`code\` and a [link](https://example.org).

- one
  - one and a half
- two

1. first
2. second

- [x] done
- [ ] to do

> quoted

\`\`\`js
const a = 1;
\`\`\`

| a | b |
| - | - |
| 1 | 2 |

---

![alt words](https://example.org/i.png)
`;

test('import prints the page’s id alone on its last line; export of it imports to the same export', async () => {
  const file = join(folder, 'sample.md');
  await writeFile(file, SAMPLE);
  const imported = await octavo(['import', file]);
  expect(imported).toMatchObject({ code: 0, err: '' });
  const page = lastLine(imported.out);
  expect(page).toMatch(UUID);
  const exported = await octavo(['export', page]);
  expect(exported.code).toBe(0);
  expect(exported.out).toContain('**bold**');
  const again = await octavo(['import', '-'], exported.out);
  expect((await octavo(['export', lastLine(again.out)])).out).toBe(exported.out);

  const plain = await octavo(['cat', page]);
  expect(plain.code).toBe(0);
  for (const word of ['heading', 'bold', 'one and a half', 'second', 'to do', 'quoted', 'const a = 1;', 'alt words']) {
    expect(plain.out).toContain(word);
  }
  const json = JSON.parse((await octavo(['export', page, '--format', 'json'])).out) as { page: string; root: { type: string } };
  expect(json).toMatchObject({ page, root: { type: 'page' } });
}); // prettier-ignore

test('import to a page that is there adds to its end', async () => {
  const page = lastLine((await octavo(['import', '-'], 'first')).out);
  expect((await octavo(['import', '-', '--page', page], 'second')).code).toBe(0);
  expect((await octavo(['cat', page])).out).toBe('first\nsecond\n');
});

test('watch tells who changes what, and ends with Ctrl-C', async () => {
  const page = lastLine((await octavo(['import', '-'], 'hello')).out);
  const watching = launch(['dist/cli/octavo.js', 'watch', page]);
  let err = '';
  watching.child.stderr!.on('data', (chunk: Buffer) => (err += String(chunk)));
  await until(
    () => err.includes('watching'),
    () => `watch said: ${err}`,
  );
  await octavo(['import', '-', '--page', page], 'a second paragraph');
  await until(
    () => watching.out().includes('a second paragraph'),
    () => `watch printed: ${watching.out()}`,
  );
  expect(watching.out()).toMatch(/octavo-cli {2}insert paragraph “a second paragraph”/);
  watching.child.kill('SIGINT');
  expect((await watching.result).code).toBe(0);
});

test('errors name cause and remedy, and the exit code tells', async () => {
  const unknown = '01900000-0000-7000-8000-000000000000';
  for (const [args, code, words] of [
    [['cat', unknown], 1, /unknown_page|no such page/],
    [['cat', 'not-a-uuid'], 2, /UUID/],
    [['import', join(folder, 'nothing.md')], 1, /cannot read .*nothing\.md/],
    [['cat', unknown, '--url', server.url], 1, /--token/],
    [['cat', unknown, '--url', server.url, '--token', 'nonsense'], 1, /token/],
    [['export', unknown, '--format', 'pdf'], 2, /markdown, json/],
    [['dance'], 2, /dance/],
  ] as const) {
    const result = await octavo(args);
    expect([args, result.code]).toEqual([args, code]);
    expect(result.err).toMatch(words);
    expect(result.err).not.toMatch(/\n\s+at /);
  }
});

test('a viewer’s token cannot import, and is told so', async () => {
  const page = lastLine((await octavo(['import', '-'], 'mine')).out);
  const token = await testToken('viewer', { grants: [{ page, role: 'viewer' }] });
  const result = await octavo(
    ['import', '-', '--page', page, '--url', server.url, '--token', token],
    'not allowed',
  );
  expect(result.code).toBe(1);
  expect(result.err).toMatch(/forbidden|may not/);
  expect((await octavo(['cat', page])).out).toBe('mine\n');
});

test('the README’s example runs as it stands', async () => {
  const readme = await readFile('README.md', 'utf8');
  const example = /```js\n([\s\S]*?)```/.exec(readme)![1]!;
  const token = await testToken('reader of the README');
  const url = /ws:\/\/[^']*/.exec(example)![0];
  const ready = `
    const pageId = crypto.randomUUID();
    const [redraw, show, tellTheUser, drawCursors] = [() => {}, () => {}, (m) => { throw new Error(m); }, () => {}];
    const fetch = async () => ({ text: async () => ${JSON.stringify(token)} });
  `;
  const [imports, ...body] = example.split('\n\n');
  const check = `if (page.root.children.length !== 2 || !page.saved) throw new Error(JSON.stringify(page.toJSON()));\nconsole.log('ran to its end');\n`;
  const source = `${imports}\n${ready}\n${body.join('\n\n')}`.replace(url, server.url).replace('await client.close();', `${check}await client.close();`);
  const result = await launch(['--input-type=module', '--eval', source]).result;
  expect(result).toMatchObject({ code: 0, err: '' });
  expect(lastLine(result.out)).toBe('ran to its end');
}); // prettier-ignore
