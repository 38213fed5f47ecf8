/**
 * The peers' packages: exact versions with a lockfile of their own in `bench/peers`, so that nobody who uses Octavo
 * installs them. They are installed there when they are missing or another lockfile's, and loaded from there; what is
 * used of them is described where it is used.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { BenchError } from '../../lib/must.ts';

/** The sources' folder, seen from `dist-bench/bench/peers/lib`. */
export const PEERS_DIR = new URL('../../../../bench/peers/', import.meta.url);

interface Loader {
  loadPackage(name: string): Promise<unknown>;
}

/** Loads a package, or by `./node_modules/…` a file that its package does not export, as the shape that is used of it. */
export async function loadPackage<Shape>(name: string): Promise<Shape> {
  const { loadPackage: load } = (await import(new URL('load-package.mjs', PEERS_DIR).href)) as Loader;
  return (await load(name)) as Shape;
}

const LOCKFILE = new URL('package-lock.json', PEERS_DIR);
/** A copy of the lockfile, made when everything in it was installed. */
const INSTALLED = new URL('node_modules/.octavo-installed.json', PEERS_DIR);

function isInstalled(): boolean {
  return existsSync(INSTALLED) && readFileSync(INSTALLED, 'utf8') === readFileSync(LOCKFILE, 'utf8');
}

/** Installs the peers' packages where that is to be done; nothing is run at their install. */
export function installPackages(log: (line: string) => void): void {
  if (isInstalled()) return;
  log('installing the peers’ packages into bench/peers/node_modules …');
  const arguments_ = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync('npm', arguments_, { cwd: PEERS_DIR, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new BenchError('npm ci failed in bench/peers: see above; without a registry use --only octavo,ws,uws'); // prettier-ignore
  copyFileSync(LOCKFILE, INSTALLED);
}

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

function manifest(path: string): Manifest {
  return JSON.parse(readFileSync(new URL(path, PEERS_DIR), 'utf8')) as Manifest;
}

/** The peers' packages: `@hocuspocus/server` → `4.7.0`. */
export function peerVersions(): Readonly<Record<string, string>> {
  return manifest('package.json').dependencies;
}

/** Octavo's own, and Octavo. */
export function ownVersions(): Readonly<Record<string, string>> {
  const { version: octavo, dependencies } = manifest('../../package.json');
  return { ...dependencies, octavo };
}
