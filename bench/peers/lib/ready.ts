/**
 * How a peer's process says that it serves: it prints its port. Whoever imports this also ends with the process that
 * started it.
 */
import '../../lib/end-with-parent.ts';

export function ready(port: number): void {
  process.stdout.write(`port ${port}\n`);
}
