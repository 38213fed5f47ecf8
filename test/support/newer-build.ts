/**
 * A build from the future: the built server and SDK of now, copied, with one op more (`note`, [8, block, parent, key, text]: a
 * block with text in one go) and snapshots of the next version. It is made by changing the copy's code, so that nothing of
 * it is in the sources; where these no longer are what it expects, it says so.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Sdk from '../../src/client/index.ts';
import type { BlockId } from '../../src/protocol/ids.ts';
import { MsgpackWriter } from '../../src/protocol/msgpack-writer.ts';

export interface NewerBuild {
  readonly cli: string;
  readonly sdk: typeof Sdk;
  remove(): void;
}

/** The ops of a change that only the newer build knows. */
export const noteOps = (block: BlockId, parent: BlockId, key: string, text: Uint8Array): Uint8Array =>
  new MsgpackWriter().array(1).array(5).int(8).id(block).id(parent).str(key).bin(text).take();

const CHANGES: readonly [file: string, from: string, to: string][] = [
  [
    'document/ops.js',
    'default:',
    `case 8: {
            const [block, parent, key] = [reader.id(), reader.id(), readKey(reader)];
            return { op: { op: 'insert', block, parent, key, type: 'note', props: [], text: readText(reader) }, fields: need(5) };
        }
        default:`,
  ],
  ['document/snapshot.js', 'MODEL_VERSION = 2', 'MODEL_VERSION = 3'],
  // An SDK reads what servers of the version before write.
  ['document/snapshot.js', 'version !== MODEL_VERSION', 'version !== MODEL_VERSION && version !== 2'],
];

export async function buildNewer(): Promise<NewerBuild> {
  const folder = mkdtempSync(join(tmpdir(), 'octavo-newer-'));
  const dist = join(folder, 'dist');
  cpSync('dist', dist, { recursive: true });
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    const path = join(dist, file);
    // Without the maps to sources that are not there.
    if (file.endsWith('.js'))
      writeFileSync(path, readFileSync(path, 'utf8').replace(/^\/\/# sourceMappingURL.*$/m, ''));
  }
  cpSync('package.json', join(folder, 'package.json'));
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  for (const [file, from, to] of CHANGES) {
    const path = join(dist, file);
    const before = readFileSync(path, 'utf8');
    if (!before.includes(from)) throw new Error(`${file} has no “${from}” any more: change newer-build.ts`);
    // The first: in ops.js it is the decoder's.
    writeFileSync(path, before.replace(from, to));
  }
  const sdk = (await import(pathToFileURL(join(dist, 'client/index.js')).href)) as typeof Sdk;
  const remove = () => rmSync(folder, { recursive: true, force: true });
  return { cli: join(dist, 'cli/octavo.js'), sdk, remove };
}
