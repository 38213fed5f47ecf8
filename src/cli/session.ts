/**
 * How a command reaches a server: `--url` and `--token`, or the local server by DATA_DIR/server.json with a short-lived
 * owner's token of its own. One page on one connection, closed when the command is done.
 */
import type { Command } from 'commander';
import { withTimeout } from '../base/time.ts';
import { connect, type Page } from '../client/index.ts';
import { readConfig } from '../config.ts';
import { findServer, type ServerFile } from '../local-server.ts';
import type { PageId } from '../protocol/ids.ts';
import { CommandError } from './fail.ts';
import { mintToken } from './local-token.ts';

export interface SessionOptions {
  readonly url?: string;
  readonly token?: string;
}

const OPEN_TIMEOUT_MS = 10_000;
const TOKEN_SECONDS = 600;
const OUTDATED =
  'warning: the page holds edits of a newer version, which this one does not know and does not show';

export function withSessionOptions(command: Command): Command {
  return command
    .option(
      '--url <url>',
      'the server, ws://… or wss://…/v1/sync (default: the local one, by DATA_DIR/server.json)',
    )
    .option('--token <jwt>', 'a token (default: made with the local server’s secret)');
}

/** The server that runs on DATA_DIR. */
export async function localServer(): Promise<ServerFile> {
  const { dataDir } = readConfig(process.env);
  const server = await findServer(dataDir);
  if (server === 'stale') throw new CommandError(`the server that ran in ${dataDir} is gone: start it with \`npm start\``);
  if (!server) throw new CommandError(`no server runs in ${dataDir}: start it with \`npm start\`, or name one by --url`);
  return server;
} // prettier-ignore

/** Opens the page, runs `work`, closes. The page is created when `create` and the token allow it. */
export async function withPage<T>(
  options: SessionOptions,
  page: PageId,
  create: boolean,
  work: (page: Page) => Promise<T>,
): Promise<T> {
  if (options.url && !options.token)
    throw new CommandError('--url needs --token: a remote server’s secret is not here');
  const url = options.url ?? (await localServer()).url;
  const given = options.token;
  const local = () => mintToken({ user: 'octavo-cli', pages: [], role: 'owner', ttlSeconds: TOKEN_SECONDS });
  const client = connect({ url, token: given ?? local, name: 'octavo-cli' });
  let lastError: Error | undefined;
  client.on('error', (error) => (lastError = error));
  const late = () => {
    const seconds = OPEN_TIMEOUT_MS / 1000;
    return new CommandError(
      `no answer from ${url} within ${seconds} s${lastError ? `: ${lastError.message}` : ''}`,
    );
  };
  try {
    const opening = client.open(page, create ? { create: 'blocks' } : {});
    const opened = await withTimeout(opening, OPEN_TIMEOUT_MS, late);
    if (opened.outdated) process.stderr.write(`${OUTDATED}\n`);
    return await work(opened);
  } finally {
    await client.close();
  }
}
