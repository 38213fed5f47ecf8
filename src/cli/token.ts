/**
 * `octavo token`: prints a token and nothing else, for trying things out and for scripts.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { PageId } from '../protocol/ids.ts';
import { parseId } from '../protocol/parse-id.ts';
import { type Role, ROLES } from '../protocol/messages.ts';
import { mintToken } from './local-token.ts';

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `90s`, `15m`, `1h`, `7d` as seconds. */
function parseTtl(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const seconds = match ? Number(match[1]) * SECONDS[match[2] as keyof typeof SECONDS] : 0;
  if (seconds < 1) throw new InvalidArgumentError('expected a time like 90s, 15m, 1h or 7d.');
  return seconds;
}

/** A page id as typed. */
export function parsePage(text: string): PageId {
  const page = parseId<PageId>(text);
  if (!page) throw new InvalidArgumentError('expected a page id, a UUID.');
  return page;
}

interface TokenOptions {
  user: string;
  page: PageId[];
  role: Role;
  ttl: number;
}

export function tokenCommand(): Command {
  return new Command('token')
    .description('print a token, signed with the local server’s secret (or JWT_SECRET)')
    .requiredOption('--user <id>', 'the user it names')
    .option<PageId[]>(
      '--page <id>',
      'a page it grants; may be given several times (default: the workspace)',
      (text, pages) => [...pages, parsePage(text)],
      [],
    )
    .addOption(
      new Option('--role <role>', 'what it grants')
        .choices([...ROLES].reverse())
        .default('editor' satisfies Role),
    )
    .option('--ttl <time>', 'how long it lives: 90s, 15m, 1h, 7d', parseTtl, 3600)
    .action(async ({ user, page, role, ttl }: TokenOptions) => {
      process.stdout.write(`${await mintToken({ user, pages: page, role, ttlSeconds: ttl })}\n`);
    });
}
