/**
 * `octavo start`: runs a node until SIGTERM or SIGINT, then drains it. A second signal ends it without waiting for clients.
 */
import { Command } from 'commander';
import { stackOf } from '../base/log.ts';
import { withTimeout } from '../base/time.ts';
import { readConfig, VARIABLES } from '../config.ts';
import { startNode } from '../main.ts';
import { createLog } from '../process-log.ts';
import { LIMIT_TABLE } from '../protocol/limits.ts';
import { CommandError } from './fail.ts';

/** What a stop may take besides the time that clients have to move. */
const STOP_MS = 5000;

function table(rows: readonly (readonly [string, string, string])[]): string {
  const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map(([a, b, c]) => `  ${a.padEnd(first!)}  ${b.padEnd(second!)}  ${c}`).join('\n');
}

function variablesHelp(): string {
  const main = VARIABLES.map(({ name, fallback, meaning }) => [name, fallback, meaning] as const);
  const limits = Object.values(LIMIT_TABLE).map(
    ({ env, value, meaning }) => [env, String(value), meaning] as const,
  );
  return `\nEnvironment variables:\n${table(main)}\n\nLimits (environment variables too):\n${table(limits)}`;
}

export function startCommand(): Command {
  return new Command('start')
    .description('run the server until it is told to stop (SIGTERM or Ctrl-C)')
    .addHelpText('after', variablesHelp)
    .action(start);
}

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  // A bug that nobody caught: said, and the process ends. The log is in the database, clients come back.
  process.on('uncaughtException', (error) => {
    log.error({ error: stackOf(error) }, 'an uncaught error ends the server');
    process.exit(1);
  });
  const node = await startNode(config, log);
  const shards =
    node.shards === 0 ? 'in one thread' : `with ${node.shards} shard thread${node.shards === 1 ? '' : 's'}`;
  process.stdout.write(
    `Octavo listens at ${node.url} (${node.transport}, ${shards})\n` +
      `  health    ${node.http}/healthz   ${node.http}/readyz   ${node.http}/metrics\n` +
      `  try now   npx octavo import README.md     (in another terminal; then: npx octavo watch <page>)\n`,
  );
  const signal = await Promise.race([stopSignal(), node.failed]);
  log.info({ reason: signal }, 'stopping');
  // Without its database there is nothing that clients could be served with.
  if (!signal.startsWith('SIG')) node.hurry();
  void stopSignal().then(() => node.hurry());
  const withinMs = config.drainMs + STOP_MS;
  // The watch over a shutdown that hangs: what is in the log is safe either way.
  await withTimeout(
    node.stop(),
    withinMs,
    () => new CommandError(`the shutdown took more than ${withinMs} ms`),
  );
  if (!signal.startsWith('SIG')) throw new CommandError(signal);
  log.info({}, 'stopped');
  process.exit(0);
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}
