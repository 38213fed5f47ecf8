/**
 * What a running server leaves in DATA_DIR for the commands: `server.json` (pid and addresses; mode 0600) and the generated
 * secret.
 * A file whose process is gone is stale: commands say so, and the next server replaces it.
 */
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemRandom } from './base/random.ts';

export interface ServerFile {
  readonly pid: number;
  readonly url: string;
  readonly http: string;
  /** Of the embedded database, password included (it stands in this folder anyway); null: the operator's own. */
  readonly databaseUrl: string | null;
  readonly startedAt: string;
}

const SECRET_BYTES = 32;
const serverFile = (dataDir: string) => join(dataDir, 'server.json');
const secretFile = (dataDir: string) => join(dataDir, 'jwt-secret');

/** Written beside and renamed: a reader never sees half a file. */
async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, text, { mode: 0o600 });
  await rename(beside, path);
}

export async function writeServerFile(dataDir: string, server: ServerFile): Promise<void> {
  await mkdir(dataDir, { recursive: true });
  await writeWhole(serverFile(dataDir), `${JSON.stringify(server, null, 2)}\n`);
}

/** Takes the file away, if it is still this process's. */
export async function removeServerFile(dataDir: string): Promise<void> {
  const found = await readJson(serverFile(dataDir));
  if (found?.pid === process.pid) await rm(serverFile(dataDir), { force: true });
}

/** The server that runs on `dataDir`; `stale` when its process is gone; undefined when there is no file. */
export async function findServer(dataDir: string): Promise<ServerFile | 'stale' | undefined> {
  const found = await readJson(serverFile(dataDir));
  if (!found) return undefined;
  return isAlive(found.pid) ? found : 'stale';
}

async function readJson(path: string): Promise<ServerFile | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ServerFile;
  } catch {
    // Not there, or not ours: either way there is no server to be found by it.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The generated secret; made on first use with `create`, else undefined when there is none. */
export async function localSecret(dataDir: string, create: boolean): Promise<string | undefined> {
  const path = secretFile(dataDir);
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    // Only "not there" is expected; an unreadable secret is the operator's to mend.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (!create) return undefined;
  }
  await mkdir(dataDir, { recursive: true });
  const secret = Buffer.from(systemRandom.bytes(SECRET_BYTES)).toString('hex');
  await writeWhole(path, `${secret}\n`);
  await chmod(path, 0o600);
  return secret;
}
