/**
 * What the process takes of its machine, under the names that everybody's dashboards know. Not prom-client's own set: that
 * lists all open files at each scrape, on the thread that holds the sockets, which are files.
 */
import { readFileSync } from 'node:fs';
import type { Registry } from 'prom-client';
import { gauge, keptCounter, oncePerScrape } from './gauges.ts';
import { systemClock } from './time.ts';

const MICROS_PER_SECOND = 1e6;

export function measureProcess(registry: Registry): void {
  const cpu = oncePerScrape(() => process.cpuUsage());
  const memory = oncePerScrape(() => process.memoryUsage());
  const startedSeconds = systemClock.now() / 1000 - process.uptime();
  const seconds = (micros: number) => micros / MICROS_PER_SECOND;
  keptCounter(registry, 'process_cpu_user_seconds_total', 'CPU time of all threads, in programs', () =>
    seconds(cpu().user),
  );
  keptCounter(registry, 'process_cpu_system_seconds_total', 'CPU time of all threads, in the kernel', () =>
    seconds(cpu().system),
  );
  gauge(registry, 'process_resident_memory_bytes', 'Memory of the whole process', () => memory().rss);
  gauge(
    registry,
    'nodejs_heap_size_used_bytes',
    'JavaScript heap of the main thread, in use',
    () => memory().heapUsed,
  );
  gauge(
    registry,
    'nodejs_external_memory_bytes',
    'Memory of the main thread’s JavaScript beyond its heap',
    () => memory().external,
  );
  gauge(registry, 'process_start_time_seconds', 'When the process began, since 1970', () => startedSeconds);
  const filesMax = openFilesMax();
  if (filesMax !== undefined)
    gauge(registry, 'process_max_fds', 'How many files it may open; a socket is one', () => filesMax);
  const { version } = process;
  gauge(registry, 'nodejs_version_info', 'The version of Node.js', () => 1, { version });
}

/** Where the system tells. */
function openFilesMax(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    // Not Linux.
    return undefined;
  }
}
