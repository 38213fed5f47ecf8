#!/usr/bin/env node
/**
 * The `octavo` command: one file per subcommand, all options and help by commander. Exit codes: 0 done, 1 failed
 * (message on stderr), 2 wrong usage.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { epochCommand } from './epoch.ts';
import { failWith } from './fail.ts';
import { chaosCommand } from './chaos.ts';
import { catCommand, exportCommand } from './export.ts';
import { importCommand } from './import.ts';
import { loadCommand } from './load.ts';
import { revokeCommand } from './revoke.ts';
import { startCommand } from './start.ts';
import { tokenCommand } from './token.ts';
import { rebuildCommand, verifyCommand } from './verify.ts';
import { watchCommand } from './watch.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('octavo')
  .description('A realtime server for documents that people edit together')
  .version(version)
  .showHelpAfterError('(octavo <command> --help tells more)')
  .exitOverride()
  .addCommand(startCommand())
  .addCommand(tokenCommand())
  .addCommand(revokeCommand())
  .addCommand(importCommand())
  .addCommand(exportCommand())
  .addCommand(catCommand())
  .addCommand(watchCommand())
  .addCommand(verifyCommand())
  .addCommand(rebuildCommand())
  .addCommand(epochCommand())
  .addCommand(chaosCommand())
  .addCommand(loadCommand());

for (const command of program.commands) command.exitOverride().showHelpAfterError('(--help tells more)');

try {
  await program.parseAsync();
} catch (error) {
  failWith(error);
}
