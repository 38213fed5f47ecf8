/**
 * `octavo revoke`: takes a user's grants away or lowers them, at once and for tokens that are out already; lists what was
 * revoked, and lifts it. It writes to the database; all nodes on it follow within a second.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type pg from 'pg';
import { withTimeout } from '../base/time.ts';
import { isUserId, USER_CHARACTERS_MAX, WORKSPACE } from '../gateway/auth.ts';
import { type GrantScope, liftRevocations, listRevocations, revokeGrant } from '../persistence/grants.ts';
import { connectDatabase } from '../persistence/prepare-database.ts';
import { toStoreError } from '../persistence/store-error.ts';
import type { PageId, UserId } from '../protocol/ids.ts';
import type { Role } from '../protocol/messages.ts';
import { withDatabase } from './database.ts';
import { CommandError } from './fail.ts';
import { parsePage } from './token.ts';

const CEILINGS: readonly Role[] = ['editor', 'commenter', 'viewer'];
const LISTED_MAX = 1000;
const TIMEOUT_MS = 10_000;

interface RevokeOptions {
  user?: UserId;
  page?: PageId;
  workspace: string;
  role?: Role;
  list?: true;
  lift?: true;
}

function parseUser(text: string): UserId {
  if (!isUserId(text)) {
    throw new InvalidArgumentError(`expected 1…${USER_CHARACTERS_MAX} characters, none of them a control character.`);
  }
  return text;
} // prettier-ignore

export function revokeCommand(): Command {
  return new Command('revoke')
    .description('take a user’s grants away or lower them, for all tokens issued until now')
    .option('--user <id>', 'whose', parseUser)
    .option('--page <id>', 'on this page only (default: every page of the workspace)', parsePage)
    .addOption(
      new Option('--workspace <id>', 'the workspace; there is one').choices([WORKSPACE]).default(WORKSPACE),
    )
    .addOption(
      new Option('--role <role>', 'lower to at most this role (default: take all away)').choices(CEILINGS),
    )
    .addOption(
      new Option('--list', 'show the revocations in force, of all or of --user').conflicts(['lift', 'role', 'page']), // prettier-ignore
    )
    .addOption(
      new Option('--lift', 'undo the revocations of exactly this user, and page if given').conflicts('role'),
    )
    .addHelpText(
      'after',
      '\nSockets that are open are told within a second. A token issued in a later second than the revocation counts in\n' +
        'full again: let your backend grant less as well. The database: DATABASE_URL, or the local server’s by DATA_DIR.',
    )
    .action(async (options: RevokeOptions, command: Command) => {
      const { user, page = null, workspace, role = null } = options;
      if (options.list) return run((client) => list(client, user ?? null));
      if (user === undefined) return command.error("error: required option '--user <id>' not specified");
      const scope: GrantScope = { workspace, user, page };
      return run((client) => (options.lift ? lift(client, scope) : revoke(client, scope, role)));
    });
}

function run(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const late = () =>
    new CommandError(`the database did not answer within ${TIMEOUT_MS / 1000} s: see octavo revoke --list for what is in force`);
  return withDatabase(async (url) => {
    const client = await connectDatabase(url, 'revoke');
    try {
      await withTimeout(work(client), TIMEOUT_MS, late);
    } catch (error) {
      throw error instanceof CommandError ? error : toStoreError(error, 'revoke');
    } finally {
      // A frozen server would not answer: the end of the process is the end of the connection.
      client.end().catch(() => {});
    }
  });
} // prettier-ignore

async function revoke(client: pg.Client, scope: GrantScope, role: Role | null): Promise<void> {
  const atMs = await revokeGrant(client, scope, role);
  const left = role === null ? 'no role' : `at most the role ${role}`;
  process.stdout.write(
    `${scope.user} has ${left} on ${placeOf(scope)} by tokens issued up to ${timeOf(atMs)}\n`,
  );
}

async function lift(client: pg.Client, scope: GrantScope): Promise<void> {
  const lifted = await liftRevocations(client, scope);
  if (lifted === 0) {
    throw new CommandError(`nothing of ${scope.user} on ${placeOf(scope)} was revoked: see octavo revoke --list --user ${scope.user}`);
  }
  process.stdout.write(`lifted: ${scope.user} has on ${placeOf(scope)} what the tokens grant\n`);
} // prettier-ignore

/** One line each: when, what is left, user, place. */
async function list(client: pg.Client, user: UserId | null): Promise<void> {
  const rows = await listRevocations(client, user, LISTED_MAX + 1);
  for (const { atMs, role, ...scope } of rows.slice(0, LISTED_MAX)) {
    process.stdout.write(`${timeOf(atMs!)}  ${(role ?? 'none').padEnd(9)}  ${scope.user}  ${placeOf(scope)}\n`);
  }
  if (rows.length > LISTED_MAX) process.stderr.write(`only the newest ${LISTED_MAX}; --user shows those of one\n`);
} // prettier-ignore

const placeOf = ({ page, workspace }: GrantScope) =>
  page === null ? `workspace ${workspace}` : `page ${page}`;
const timeOf = (ms: number) => new Date(ms).toISOString();
