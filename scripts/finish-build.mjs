// Runs after tsc: what a compiler does not do. Copies the SQL migrations and makes the command executable, in the
// output directory that is named (`dist` without one; the measurements compile to `dist-bench/src`). The command reads
// its version from the package.json beside the output directory, so another place gets a copy.
import { chmodSync, copyFileSync, cpSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const out = process.argv[2] ?? 'dist';
if (existsSync('src/persistence/migrations')) {
  cpSync('src/persistence/migrations', join(out, 'persistence/migrations'), { recursive: true });
}
if (existsSync(join(out, 'cli/octavo.js'))) chmodSync(join(out, 'cli/octavo.js'), 0o755);
if (dirname(out) !== '.') copyFileSync('package.json', join(dirname(out), 'package.json'));
