/**
 * Starts the postmaster (PostgreSQL's first process) and stops it. Its port is free, not fixed, so that two servers
 * on one machine never meet; it is drawn from below 32768, where Linux starts to give ports to outgoing connections,
 * or one of those could take it in between. Somebody may still be faster, and backends of a killed postmaster may
 * still hold its memory: both end within moments, and the start is tried again.
 *
 *     spawn -> postmaster.pid says "ready" -> running -> SIGINT (fast), SIGQUIT (immediate) -> exited
 *           \-> exited: read its log: passing? again : start-failed
 */
import type { ChildProcess } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { randomBelow, systemRandom } from '../../base/random.ts';
import { sleep, systemClock } from '../../base/time.ts';
import type { Cluster } from './cluster.ts';
import { EmbeddedPostgresError, useAnotherPostgres } from './errors.ts';
import { fastShutdownMs, immediateShutdownMs, readPostmasterFile } from './postmaster-lock.ts';
import { openPostgresLog, postgresLogPath, readPostgresLog } from './postgres-log.ts';
import { cannotRun, directoryArgument, spawnProgram } from './programs.ts';
import { postmasterArguments } from './settings.ts';
import { waitUntil } from './wait-until.ts';
import type { Watchdog } from './watchdog.ts';

export interface Postmaster {
  readonly port: number;
  readonly pid: number;
  /** Resolves when PostgreSQL has ended, wanted or not. Never rejects. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

/** Replaying the log after a crash takes as long as it takes; a minute per gigabyte is slow. */
const readyTimeoutMs = 300_000;
const retryForMs = 15_000;
const firstPort = 10_240;
const lastPort = 32_767;
const passingTrouble =
  /could not (bind|create any TCP)|shared memory block .*in use|lock file .* already exists/;

/** `leftoverPid`: see `clearPostmasterLock`. */
export async function startPostmaster(
  cluster: Cluster,
  maxConnections: number,
  leftoverPid: number | undefined,
  watchdog: Watchdog,
): Promise<Postmaster> {
  const retryUntil = systemClock.monotonic() + retryForMs;
  for (;;) {
    const logStart = (await stat(postgresLogPath(cluster.dataDir)).catch(() => undefined))?.size ?? 0;
    const postmaster = await spawnPostmaster(cluster, await freePort(), maxConnections, leftoverPid);
    watchdog.watch(postmaster.pid);
    let ended = false;
    void postmaster.exited.then(() => (ended = true));
    const ready = async () => {
      const file = await readPostmasterFile(cluster.dir);
      return ended || (file?.pid === postmaster.pid && file.ready);
    };
    const settled = await waitUntil(ready, readyTimeoutMs, 5);
    if (settled && !ended) return postmaster;
    if (!settled) await postmaster.stop();
    const tail = (await readPostgresLog(cluster.dataDir, logStart)).trim();
    if (!settled)
      throw startFailed('start-timeout', `was not ready after ${readyTimeoutMs} ms`, cluster, tail);
    if (!passingTrouble.test(tail) || systemClock.monotonic() > retryUntil) {
      throw startFailed('start-failed', 'ended while starting', cluster, tail);
    }
    await sleep(100);
  }
}

async function spawnPostmaster(
  cluster: Cluster,
  port: number,
  maxConnections: number,
  leftoverPid: number | undefined,
): Promise<Postmaster> {
  const log = await openPostgresLog(cluster.dataDir);
  try {
    const leftover = leftoverPid === undefined ? {} : { PG_GRANDPARENT_PID: String(leftoverPid) };
    const args = postmasterArguments(
      directoryArgument(cluster, cluster.dir),
      cluster.dir,
      port,
      maxConnections,
    );
    const child = spawnProgram(cluster, cluster.binaries.postgres, args, cluster.dir, {
      env: leftover,
      detached: true, // A session of its own: Ctrl-C is for the server, which then stops PostgreSQL last.
      stdio: ['ignore', log.fd, log.fd],
    });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(cannotRun(cluster.binaries.postgres, error)));
    });
    child.unref();
    return { port, pid: child.pid!, exited, stop: () => stopPostmaster(child, cluster) };
  } finally {
    await log.close();
  }
}

/** As `pg_ctl stop -m fast` does: connections are closed, a checkpoint is written. */
async function stopPostmaster(child: ChildProcess, cluster: Cluster): Promise<void> {
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  if (ended()) return;
  child.kill('SIGINT');
  if (await waitUntil(ended, fastShutdownMs, 5)) return;
  child.kill('SIGQUIT');
  if (await waitUntil(ended, immediateShutdownMs)) return;
  throw new EmbeddedPostgresError(
    'stop-timeout',
    `PostgreSQL (pid ${child.pid}) on ${cluster.dir} does not stop. Look for a hanging disk; nothing committed is lost`,
  );
}

/** A port nobody listens on at this moment. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const port = firstPort + randomBelow(systemRandom, lastPort - firstPort + 1);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new EmbeddedPostgresError(
    'start-failed',
    `no free port found between ${firstPort} and ${lastPort} on 127.0.0.1. Look at what listens there (ss -tln)`,
  );
}

function startFailed(
  code: 'start-failed' | 'start-timeout',
  what: string,
  cluster: Cluster,
  tail: string,
): EmbeddedPostgresError {
  const log = postgresLogPath(cluster.dataDir);
  return new EmbeddedPostgresError(
    code,
    `PostgreSQL ${what} on ${cluster.dir}. Its last words: ${tail || '(none)'}. ` +
      `See ${log}, repair what it names, or ${useAnotherPostgres}`,
  );
}
