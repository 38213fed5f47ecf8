/**
 * PostgreSQL's settings, given on its command line: they win over postgresql.conf, and a new version of octavo brings
 * its own without touching anybody's data directory. No secret is among them, for `ps` shows them.
 * Called by `postmaster.ts`.
 */

const settings: Readonly<Record<string, string>> = {
  // What "durable" means. These are PostgreSQL's defaults; they stand here so that nothing turns them off.
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  // Nobody but this machine, and no socket file, whose path would have to be short and reachable.
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  // A guest in the house of the server: modest memory, few processes, no threads of compiled queries.
  shared_buffers: '128MB',
  max_wal_size: '1GB',
  wal_compression: 'on',
  io_method: 'sync',
  jit: 'off',
  // Parallel queries share memory in /dev/shm, of which a container has 64 MB.
  max_parallel_workers_per_gather: '0',
  // The log is for trouble.
  log_checkpoints: 'off',
  log_min_messages: 'warning',
  log_line_prefix: '%m [%p] ',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

/**
 * Marks a postmaster as the one of `clusterDir`, for whoever reads its command line: `-D` may say /proc/self/cwd.
 * PostgreSQL accepts any setting with a dot in its name.
 */
export function clusterMark(clusterDir: string): string {
  return `octavo.cluster=${clusterDir}`;
}

export function postmasterArguments(
  directoryArgument: string,
  clusterDir: string,
  port: number,
  maxConnections: number,
): string[] {
  const chosen = { ...settings, port: String(port), max_connections: String(maxConnections) };
  const pairs = Object.entries(chosen).map(([name, value]) => `${name}=${value}`);
  return ['-D', directoryArgument, ...[clusterMark(clusterDir), ...pairs].flatMap((pair) => ['-c', pair])];
}
