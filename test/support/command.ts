/**
 * Runs the built `octavo` command to its end, in an environment that has nothing of this machine's Octavo in it.
 */
import { spawn } from 'node:child_process';

export interface CommandResult {
  /** null when it had to be killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `env` is all that the command sees, PATH apart. After `timeoutMs` it is killed. */
export async function octavo(args: readonly string[], env: Record<string, string> = {}, timeoutMs = 30_000, cli = 'dist/cli/octavo.js'): Promise<CommandResult> {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (stderr += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const code = await ended;
  clearTimeout(timer);
  return { code, stdout, stderr };
} // prettier-ignore
