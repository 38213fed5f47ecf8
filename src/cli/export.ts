/**
 * `octavo export` and `octavo cat`: a page to stdout, as Markdown, JSON or plain text.
 */
import { Command, Option } from 'commander';
import { blocksToMarkdown } from '../markdown/blocks-to-markdown.ts';
import { blocksToText } from '../markdown/blocks-to-text.ts';
import type { PageId } from '../protocol/ids.ts';
import { type SessionOptions, withPage, withSessionOptions } from './session.ts';
import { parsePage } from './token.ts';

interface ExportOptions extends SessionOptions {
  readonly format: 'markdown' | 'json';
}

export function exportCommand(): Command {
  return withSessionOptions(
    new Command('export')
      .description('print a page')
      .argument('<page>', 'the page’s id', parsePage)
      .addOption(new Option('--format <format>', 'how').choices(['markdown', 'json']).default('markdown')),
  ).action((id: PageId, options: ExportOptions) =>
    withPage(options, id, false, async (page) => {
      const json = page.toJSON();
      const text =
        options.format === 'json'
          ? `${JSON.stringify(json, null, 2)}\n`
          : blocksToMarkdown(json.root.children);
      await print(text);
    }),
  );
}

export function catCommand(): Command {
  return withSessionOptions(
    new Command('cat')
      .description('print a page as plain text')
      .argument('<page>', 'the page’s id', parsePage),
  ).action((id: PageId, options: SessionOptions) =>
    withPage(options, id, false, (page) => print(blocksToText(page.toJSON().root.children))),
  );
}

/** Resolves when the text has been handed on: a pipe may be slower than we are. */
function print(text: string): Promise<void> {
  const whole = text.endsWith('\n') || text === '' ? text : `${text}\n`;
  return new Promise((resolve, reject) =>
    process.stdout.write(whole, (error) => (error ? reject(error) : resolve())),
  );
}
