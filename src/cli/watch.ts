/**
 * `octavo watch`: follows a page live, one line a change, until Ctrl-C.
 */
import { Command } from 'commander';
import type { PageId } from '../protocol/ids.ts';
import { type SessionOptions, withPage, withSessionOptions } from './session.ts';
import { parsePage } from './token.ts';
import { CommandError } from './fail.ts';

const SHOWN_OPS = 4;
const SHOWN_TEXT = 60;

export function watchCommand(): Command {
  return withSessionOptions(
    new Command('watch')
      .description('follow a page live: who changes what (Ctrl-C ends)')
      .argument('<page>', 'the page’s id', parsePage),
  ).action((id: PageId, options: SessionOptions) =>
    withPage(options, id, false, async (page) => {
      process.stderr.write(`watching ${id} at change ${page.seq}, as ${page.role}; Ctrl-C ends\n`);
      page.on('change', ({ changes }) => {
        // Nothing is edited here, so each of them has its place in the log.
        for (const { seq, author, at, ops } of changes) {
          const shown = ops
            .slice(0, SHOWN_OPS)
            .map(({ op, block }) => describe(op, block ? page.block(block) : undefined));
          const more = ops.length > SHOWN_OPS ? `, and ${ops.length - SHOWN_OPS} more` : '';
          process.stdout.write(
            `${new Date(at ?? 0).toISOString()}  ${seq}  ${author}  ${shown.join(', ')}${more}\n`,
          );
        }
      });
      await new Promise<void>((resolve, reject) => {
        process.once('SIGINT', resolve);
        process.once('SIGTERM', resolve);
        page.on('error', (error) => reject(new CommandError(error.message)));
      });
    }),
  );
}

function describe(op: string, block: { type: string; plainText: string } | undefined): string {
  if (!block) return op;
  const text = block.plainText.replaceAll(/\s+/g, ' ');
  const shown = text.length > SHOWN_TEXT ? `…${text.slice(-SHOWN_TEXT)}` : text;
  return shown ? `${op} ${block.type} “${shown}”` : `${op} ${block.type}`;
}
