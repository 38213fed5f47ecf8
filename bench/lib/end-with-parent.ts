/**
 * Loaded into the servers that a measurement starts: they end with it, however that ends. Their standard input is a pipe
 * from the measuring process, which closes with it.
 */
import { isMainThread } from 'node:worker_threads';

/** What `process.stdin` is when it is a pipe: it alone keeps no process alive. */
interface Unreferenced {
  unref?(): void;
}

if (isMainThread) {
  process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume();
  (process.stdin as Unreferenced).unref?.();
}
