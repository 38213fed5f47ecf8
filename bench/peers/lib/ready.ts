/**
 * What every peer's process does beside serving: it prints its port, and ends with the process that started it, however
 * that ends.
 */

export const PORT_LINE = /^port (\d+)$/m;

export function ready(port: number): void {
  process.stdout.write(`port ${port}\n`);
}

/** Standard input is a pipe from the measuring process: it ends when that does. */
export function endWithParent(): void {
  process.stdin.on('end', () => process.exit(0)).resume();
}
