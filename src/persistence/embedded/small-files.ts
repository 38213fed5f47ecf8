/**
 * Two things the small files of a data directory need: to be read without mistaking "not allowed" for "not there",
 * and to be in the directory after a power cut. Called by the lock and by the making of the cluster.
 */
import { open, readFile } from 'node:fs/promises';

/** The text, or undefined when there is no such file; every other trouble is thrown. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the names in a directory durable: a renamed file is there after a power cut only then. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}
