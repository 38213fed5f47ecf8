/**
 * `octavo import`: Markdown to a page of blocks, through the SDK like any other client. Prints the page's id alone on the
 * last line of stdout; progress goes to stderr, on a terminal only.
 */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { systemRandom } from '../base/random.ts';
import { sleep, systemClock } from '../base/time.ts';
import type { Page } from '../client/index.ts';
import { markdownToBlocks } from '../markdown/markdown-to-blocks.ts';
import { newId, type PageId } from '../protocol/ids.ts';
import { CommandError } from './fail.ts';
import { type SessionOptions, withPage, withSessionOptions } from './session.ts';
import { parsePage } from './token.ts';

const POLL_MS = 50;
/** Without an acknowledgement for this long the import is given up; what was acknowledged stays. */
const STUCK_MS = 30_000;

export function importCommand(): Command {
  return withSessionOptions(
    new Command('import')
      .description('turn a Markdown file into blocks at the end of a page; prints the page’s id')
      .argument('<file>', 'a Markdown file; - for standard input')
      .option('--page <id>', 'the page; made if it does not exist (default: a new page)', parsePage),
  ).action(importFile);
}

async function importFile(file: string, options: SessionOptions & { page?: PageId }): Promise<void> {
  const markdown = file === '-' ? await text(process.stdin) : await readText(file);
  const blocks = markdownToBlocks(markdown);
  const page = options.page ?? newId<PageId>(systemClock.now(), systemRandom);
  await withPage(options, page, true, async (opened) => {
    const rejected: Error[] = [];
    opened.on('rejected', (refusal) =>
      rejected.push(new CommandError(`the server refused it: ${refusal.message}`)),
    );
    // As few changes as the limits allow: the rate is counted in changes.
    opened.transact(() => {
      for (const block of blocks) opened.insert(block);
    });
    await untilSaved(opened, rejected);
  });
  process.stdout.write(`${page}\n`);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    // Expected: a wrong name, a folder, no permission.
    throw new CommandError(`cannot read ${file}: ${(error as Error).message}`);
  }
}

async function untilSaved(page: Page, rejected: readonly Error[]): Promise<void> {
  const total = page.pendingChanges;
  let left = total;
  let lastProgress = systemClock.monotonic();
  while (!page.saved) {
    if (rejected[0]) throw rejected[0];
    if (page.pendingChanges !== left) {
      left = page.pendingChanges;
      lastProgress = systemClock.monotonic();
    } else if (systemClock.monotonic() - lastProgress > STUCK_MS) {
      throw new CommandError(`the server has acknowledged nothing for ${STUCK_MS / 1000} s; ${left} of ${total} changes are not saved`);
    }
    showProgress(total - left, total);
    await sleep(POLL_MS);
  }
  if (rejected[0]) throw rejected[0];
  showProgress(total, total);
  if (process.stderr.isTTY) process.stderr.write('\n');
} // prettier-ignore

function showProgress(done: number, total: number): void {
  if (!process.stderr.isTTY || total === 0) return;
  const width = 30;
  const filled = Math.round((width * done) / total);
  process.stderr.write(
    `\r[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${done}/${total} changes saved`,
  );
}
