/**
 * Vitest's global set-up: the end-to-end tests run the built server, so it is built when a source is newer.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

function newest(directory: string): number {
  let latest = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) latest = Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs);
  }
  return latest;
}

function builtAt(): number {
  try {
    return statSync('dist/.built').mtimeMs;
  } catch {
    // Never built.
    return 0;
  }
}

export default function setup(): void {
  if (builtAt() < newest('src')) execFileSync('npm', ['run', 'build', '--silent'], { stdio: 'inherit' });
}
