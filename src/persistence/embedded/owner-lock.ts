/**
 * `<dataDir>/octavo.lock`: one live server per data directory. The file holds the owner's process id, its start time
 * and its realm (see `processes.ts`); it is created with O_EXCL and outlives a `kill -9`, so a reader asks whether
 * the owner still lives:
 *
 *     same realm       pid alive and started at the same time: in use; otherwise left over, taken over
 *     another realm    (another container or machine on one volume, or a reboot) ids say nothing: the owner touches
 *                      its file every `heartbeatMs`, so one that is touched while we watch is in use
 *
 * PostgreSQL's own lock cannot do this: it knows nothing of servers, and nothing of other containers.
 * Called by `embedded-postgres.ts`, first of all and last of all.
 */
import { writeFileSync } from 'node:fs';
import { rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../base/log.ts';
import { sleep, systemClock } from '../../base/time.ts';
import type { Timer } from '../../base/time.ts';
import { EmbeddedPostgresError } from './errors.ts';
import { inspectProcess, processRealm } from './processes.ts';
import { readIfPresent } from './small-files.ts';
import { waitUntil } from './wait-until.ts';

export interface OwnerLock {
  release(): Promise<void>;
}

interface Owner {
  readonly pid: number;
  readonly startedAt: string;
  readonly realm: string;
}

const heartbeatMs = 1_000;
/** Long enough for an owner whose event loop hangs for a while, short enough to wait for after a reboot. */
const heartbeatSilenceMs = 5_000;
const attemptsMax = 20;
const attemptDelayMs = 50;

/** Takes the lock, or throws `data-dir-in-use`. `onHeartbeat` runs with each touch of the file. */
export async function acquireOwnerLock(
  dataDir: string,
  log: Log,
  onHeartbeat: () => void,
): Promise<OwnerLock> {
  const path = join(dataDir, 'octavo.lock');
  const self = await inspectProcess(process.pid);
  const startedAt = self.kind === 'alive' ? self.startedAt : '';
  const owner: Owner = { pid: process.pid, startedAt, realm: await processRealm() };
  const text = JSON.stringify(owner);
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (createExclusively(path, text)) return holdLock(path, onHeartbeat);
    const foundText = await readIfPresent(path);
    const found = parseOwner(foundText ?? '');
    if (found !== undefined && (await ownerLives(path, found, owner.realm, log))) throw inUse(dataDir, found);
    // Without an owner it may be half written, by a server that was killed or by one that is just starting.
    const leftover = foundText !== undefined && (found !== undefined || attempt >= 2);
    if (leftover && (await succeed(path, foundText, text, owner.realm, log)))
      return holdLock(path, onHeartbeat);
    await sleep(attemptDelayMs);
  }
  throw inUse(dataDir, parseOwner((await readIfPresent(path)) ?? ''));
}

/** Synchronous, so that others see the file empty for microseconds only. */
function createExclusively(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Replaces a leftover by our lock; false if another was faster. Many may have judged the same leftover, and the slow
 * must not replace the lock of the fast: so one at a time, by a claim, and only if the leftover is still there.
 * (Removing leftovers by `rename`, and looking afterwards at what one got, let two of eight win.)
 */
async function succeed(
  path: string,
  leftover: string,
  text: string,
  ourRealm: string,
  log: Log,
): Promise<boolean> {
  const claim = `${path}.claim`;
  if (!createExclusively(claim, text)) {
    const claimText = await readIfPresent(claim);
    if (claimText === undefined) return false;
    // A claim lasts for a millisecond. One that cannot be read was left by a full disk: watched, then removed.
    const claimant = parseOwner(claimText) ?? { pid: 0, startedAt: '', realm: '' };
    if (!(await ownerLives(claim, claimant, ourRealm, log))) await rm(claim, { force: true });
    return false;
  }
  try {
    if ((await readIfPresent(path)) !== leftover) return false;
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, startedAt, realm } = JSON.parse(text) as Partial<Owner>;
    if (typeof pid !== 'number' || typeof startedAt !== 'string' || typeof realm !== 'string')
      return undefined;
    return { pid, startedAt, realm };
  } catch {
    // Expected: half written by a server that was killed, or just being written.
    return undefined;
  }
}

async function ownerLives(path: string, found: Owner, ourRealm: string, log: Log): Promise<boolean> {
  if (found.realm === ourRealm) {
    const state = await inspectProcess(found.pid);
    return state.kind === 'alive' && state.startedAt === found.startedAt;
  }
  log.info(
    { watchMs: heartbeatSilenceMs },
    'DATA_DIR was last used in another container or before a reboot; watching whether that server still lives',
  );
  // Our clock and the file's may differ, so the time is not read: what counts is that it changes.
  const touchedAt = async () => (await stat(path).catch(() => undefined))?.mtimeMs;
  const before = await touchedAt();
  return waitUntil(async () => (await touchedAt()) !== before, heartbeatSilenceMs, 100);
}

function holdLock(path: string, onHeartbeat: () => void): OwnerLock {
  let timer: Timer;
  const beat = () => {
    const now = systemClock.now() / 1_000;
    // Outside world: a full or vanished disk fails louder elsewhere.
    utimes(path, now, now).catch(() => undefined);
    onHeartbeat();
    timer = systemClock.after(heartbeatMs, beat);
  };
  timer = systemClock.after(heartbeatMs, beat);
  return {
    async release() {
      timer.cancel();
      await rm(path, { force: true });
    },
  };
}

function inUse(dataDir: string, owner: Owner | undefined): EmbeddedPostgresError {
  const pid = owner === undefined ? 'unknown' : String(owner.pid);
  return new EmbeddedPostgresError(
    'data-dir-in-use',
    `another octavo runs on this DATA_DIR (pid ${pid}): ${dataDir}. ` +
      'Stop it first, or give this one a DATA_DIR of its own; nodes that share data share a DATABASE_URL',
  );
}
