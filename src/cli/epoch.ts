/**
 * `octavo epoch`: shows the database's epoch; with `--new` makes another one, after a copy of the data directory or of
 * its disk was put back: the one kind of restore that the server cannot notice by itself.
 */
import { Command } from 'commander';
import type pg from 'pg';
import { withTimeout } from '../base/time.ts';
import { connectDatabase } from '../persistence/prepare-database.ts';
import { DESCRIBE_EPOCH, NEW_EPOCH } from '../persistence/sql/epoch.ts';
import { toStoreError } from '../persistence/store-error.ts';
import { withDatabase } from './database.ts';
import { CommandError } from './fail.ts';

const TIMEOUT_MS = 10_000;

export function epochCommand(): Command {
  return new Command('epoch')
    .description('show the epoch of the database, or make a new one after a restore')
    .option('--new', 'make a new one: clients load their pages anew, and send again what is pending')
    .addHelpText(
      'after',
      '\nRun it with --new when a copy of the data directory, or of its disk, was put back, before the servers are started.\n' +
        'A restored dump, point-in-time recovery and a promoted standby are noticed without it. The database: DATABASE_URL,\n' +
        'or the local server’s by DATA_DIR.',
    )
    .action((options: { new?: true }) => withDatabase((url) => run(url, options.new ?? false)));
}

async function run(url: string, isNew: boolean): Promise<void> {
  const client = await connectDatabase(url, 'epoch');
  const late = () => new CommandError(`the database did not answer within ${TIMEOUT_MS / 1000} s`);
  try {
    process.stdout.write(await withTimeout(isNew ? makeNew(client) : describe(client), TIMEOUT_MS, late));
  } catch (error) {
    throw error instanceof CommandError ? error : toStoreError(error, 'epoch');
  } finally {
    // A frozen server would not answer: the end of the process is the end of the connection.
    client.end().catch(() => {});
  }
}

async function makeNew(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ id: string }>(NEW_EPOCH);
  return `the epoch is ${rows[0]!.id} now: pages are loaded anew\n`;
}

async function describe(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ id: string; noticed: boolean }>(DESCRIBE_EPOCH);
  const { id, noticed } = rows[0]!;
  const how = noticed
    ? 'a restored dump, point-in-time recovery and a promoted standby are noticed; a copied disk is not'
    : 'this database does not say which incarnation it is: run octavo epoch --new after every restore and failover';
  return `${id}\n${how}\n`;
}
