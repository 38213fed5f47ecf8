/**
 * `npm run sim:planted [-- NAME …] [--seeds 1..2000]`: shows that the simulation can fail. Each bug of `plants.ts` is put into a
 * copy of the source, one at a time; the copy is compiled and its simulation run until a seed fails. Prints which seed
 * found which bug by which check, and ends with 0 only if every bug was found.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { misplaced, type Plant, plants } from './plants.ts';

const ROOT = 'dist-sim/planted';
/** A bug may leave a name without use. */
const LENIENT = ['--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];

interface Found {
  readonly seed: string;
  readonly check: string;
}

function run(command: string, args: readonly string[]): { status: number | null; text: string } {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  return { status: done.status, text: done.stdout + done.stderr };
}

/** A copy of the source with the bug in it, compiled. Returns the folder of the compiled copy. */
function build({ name, edits }: Plant): string {
  const folder = join(ROOT, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const part of ['src', 'test/sim', 'test/support']) {
    cpSync(part, join(folder, part), { recursive: true, filter: (file) => !file.endsWith('.test.ts') });
  }
  for (const file of ['tsconfig.json', 'tsconfig.sim.json']) cpSync(file, join(folder, file));
  for (const { file, find, replace } of edits) {
    const path = join(folder, file);
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(find, () => replace),
    );
  }
  const { status, text } = run('node_modules/.bin/tsc', [
    ...LENIENT,
    '-p',
    join(folder, 'tsconfig.sim.json'),
  ]);
  if (status !== 0) throw new Error(`${name}: the planted source does not compile\n${text}`);
  return join(folder, 'dist-sim');
}

function seek(plant: Plant, seeds: string): Found | null {
  const folder = build(plant);
  const { text, status } = run(process.execPath, [
    join(folder, 'test/sim/run.js'),
    '--first',
    '--seeds',
    seeds,
  ]);
  const [, seed, check] = /^seed (\d+): ([^:\n]*)/m.exec(text) ?? [];
  if (seed !== undefined) return { seed, check: check! };
  if (status !== 0) throw new Error(`${plant.name}: the simulation ended with ${status}\n${text}`);
  return null;
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { seeds: { type: 'string' } } });
const seeds = values.seeds ?? '1..2000';
const faults = misplaced((file) => readFileSync(file, 'utf8'));
if (faults.length > 0) {
  console.error(
    `The source has moved on; give these bugs their place again in test/sim/plants.ts:\n${faults.join('\n')}`,
  );
  process.exit(2);
}
const chosen = plants.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const width = Math.max(...chosen.map(({ name }) => name.length));
let missed = 0;
for (const plant of chosen) {
  const found = seek(plant, seeds);
  if (!found) missed++;
  console.log(`${plant.name.padEnd(width)}  ${found ? `seed ${found.seed.padStart(4)}  ${found.check}` : `NOT FOUND in ${seeds}`}`); // prettier-ignore
}
console.log(
  missed === 0 ? `all ${chosen.length} were found` : `${missed} of ${chosen.length} were not found`,
);
process.exit(missed === 0 ? 0 : 1);
