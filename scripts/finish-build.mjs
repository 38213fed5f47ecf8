// Runs after tsc: what a compiler does not do. Copies the SQL migrations and makes the command executable.
import { chmodSync, cpSync, existsSync, writeFileSync } from 'node:fs';

if (existsSync('src/persistence/migrations')) {
  cpSync('src/persistence/migrations', 'dist/persistence/migrations', { recursive: true });
}
if (existsSync('dist/cli/octavo.js')) chmodSync('dist/cli/octavo.js', 0o755);
// Tells the tests whether the build is older than the sources.
if (existsSync('dist')) writeFileSync('dist/.built', '');
