/**
 * Stops PostgreSQL when the server dies, `kill -9` included: a shell that reads a pipe whose other end only the server
 * holds. The kernel closes it with the server, whatever kills it; the shell then sends PostgreSQL what `stop` would.
 *
 *     server --"4711\n"--> sh    4711 is the postmaster to stop
 *            --"stop\n"--> sh    stopped in order: end
 *            ---- end ---> sh    SIGINT, 30 s later SIGQUIT
 *
 * A shell, not a Node.js process: 1 MB instead of 40, and initdb needs one anyway. It has a session of its own, so
 * the terminal's Ctrl-C, which the server answers by draining, does not reach it. Should it be killed too, the next
 * start finds the orphan (`postmaster-lock.ts`).
 */
import { spawn } from 'node:child_process';
import type { Log } from '../../base/log.ts';
import { fastShutdownMs } from './postmaster-lock.ts';

export interface Watchdog {
  readonly pid: number | undefined;
  watch(postmasterPid: number): void;
  /** For when PostgreSQL has ended. */
  end(): void;
}

/** Signals only while the lock file of this cluster names the process: the id may have gone to another by then. */
const script = `
trap '' INT HUP TERM
pid=
while read -r line; do
  [ "$line" = stop ] && exit 0
  pid=$line
done
[ -n "$pid" ] || exit 0
owns() { read -r first < "$1/postmaster.pid" && [ "$first" = "$pid" ] && kill -0 "$pid"; }
stop() {
  owns "$1" && kill -s "$2" "$pid"
  left=$3
  while [ "$left" -gt 0 ] && owns "$1"; do sleep 1; left=$((left - 1)); done
}
stop "$1" INT "$2"
stop "$1" QUIT 10
`;

export function startWatchdog(clusterDir: string, log: Log): Watchdog {
  const seconds = String(Math.ceil(fastShutdownMs / 1_000));
  const child = spawn('/bin/sh', ['-c', script, 'octavo-postgres-watchdog', clusterDir, seconds], {
    cwd: '/', // Holds no directory back from being unmounted.
    env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  let ending = false;
  const lost = (fields: object) => {
    if (!ending)
      log.warn(fields, 'the PostgreSQL watchdog ended: a killed server would leave PostgreSQL running');
    ending = true;
  };
  child.on('error', (error) => lost({ error: error.message }));
  child.on('exit', (code, signal) => lost({ exitCode: code, signal }));
  child.stdin.on('error', () => undefined); // Told by 'exit'.
  child.unref();
  (child.stdin as unknown as { unref?: () => void }).unref?.();
  return {
    pid: child.pid,
    watch: (postmasterPid) => void child.stdin.write(`${postmasterPid}\n`),
    end() {
      if (ending) return;
      ending = true;
      child.stdin.end('stop\n');
    },
  };
}
