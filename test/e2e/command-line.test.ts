/**
 * The command line itself: help, usage errors and their exit codes, and the tokens that `octavo token` prints.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VARIABLES } from '../../src/config.ts';
import { LIMIT_TABLE } from '../../src/protocol/limits.ts';
import { octavo } from '../support/command.ts';
import { newPage } from '../support/raw-client.ts';
import { TEST_SECRET } from '../support/server.ts';

let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'octavo-cli-'));
});

afterAll(() => rm(dataDir, { recursive: true, force: true }));

const COMMANDS = ['start', 'token', 'import', 'export', 'cat', 'watch', 'verify', 'rebuild'];

describe('help', () => {
  test('--help lists every command; --version is the package’s', async () => {
    const { code, stdout } = await octavo(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(stdout).toContain(command);
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await octavo(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test.each(COMMANDS)('%s --help', async (command) => {
    const { code, stdout, stderr } = await octavo([command, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Usage: octavo ${command}`);
  });

  test('start --help lists every variable', async () => {
    const { stdout } = await octavo(['start', '--help']);
    for (const name of [...VARIABLES, ...Object.values(LIMIT_TABLE).map(({ env }) => ({ name: env }))]) expect(stdout).toContain(name.name);
  }); // prettier-ignore
});

describe('wrong usage is exit code 2', () => {
  const page = newPage();
  test.each([
    [[]],
    [['nonsense']],
    [['--nonsense']],
    [['start', '--nonsense']],
    [['token', '--nonsense']],
    [['token']],
    [['token', '--user', 'ann', '--role', 'king']],
    [['token', '--user', 'ann', '--page', 'no-uuid']],
    [['token', '--user', 'ann', '--ttl', '5 minutes']],
    [['token', '--user', 'ann', '--ttl', '0s']],
    [['cat']],
    [['cat', 'no-uuid']],
    [['cat', page, page]],
    [['export', page, '--format', 'pdf']],
    [['import']],
    [['watch']],
    [['verify']],
    [['verify', page, '--all']],
    [['verify', 'no-uuid']],
    [['rebuild']],
  ])('octavo %j', async (args) => {
    const { code, stdout, stderr } = await octavo(args, { DATA_DIR: dataDir });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/error|Usage/);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('octavo token', () => {
  const env = () => ({ DATA_DIR: dataDir, JWT_SECRET: TEST_SECRET });

  test('prints a token and nothing else: an editor of the workspace, for an hour', async () => {
    const { code, stdout, stderr } = await octavo(['token', '--user', 'ann'], env());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const token = stdout.trim();
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256' });
    const { payload } = await jwtVerify(token, new TextEncoder().encode(TEST_SECRET));
    expect(payload).toMatchObject({ sub: 'ann', grants: [{ workspace: 'default', role: 'editor' }] });
    expect(payload.exp! - payload.iat!).toBe(3600);
    expect(Math.abs(payload.iat! - Date.now() / 1000)).toBeLessThan(60);
  });

  test('for pages, with a role and a time', async () => {
    const pages = [newPage(), newPage()];
    const args = [
      'token',
      '--user',
      'bob',
      '--role',
      'viewer',
      '--ttl',
      '15m',
      ...pages.flatMap((page) => ['--page', page]),
    ];
    const { stdout } = await octavo(args, env());
    const { exp, iat, grants } = decodeJwt(stdout.trim());
    expect(grants).toEqual(pages.map((page) => ({ page, role: 'viewer' })));
    expect(exp! - iat!).toBe(900);
  });

  test('with a public key here there is nothing to sign with', async () => {
    const { code, stdout, stderr } = await octavo(['token', '--user', 'ann'], {
      DATA_DIR: dataDir,
      JWKS_URL: 'https://x.test/',
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('public key');
  });
});
