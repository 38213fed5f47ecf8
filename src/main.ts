/**
 * A node: configuration in, a running server out. Starts database, shards, gateway and transport in that order, and ends
 * them in the other: no new sockets, what is queued committed, dirty pages snapshotted, sockets closed with "come back".
 */
import type { Log } from './base/log.ts';
import { systemRandom } from './base/random.ts';
import { systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { createTokenVerifier } from './gateway/auth.ts';
import { Gateway } from './gateway/gateway.ts';
import { openTransport } from './gateway/open-transport.ts';
import type { HttpReply } from './gateway/transport.ts';
import { decideUpgrade } from './gateway/upgrade.ts';
import { localSecret, removeServerFile, writeServerFile } from './local-server.ts';
import { startEmbeddedPostgres } from './persistence/embedded/embedded-postgres.ts';
import { openPostgresLogStore } from './persistence/postgres-log-store.ts';
import { prepareDatabase } from './persistence/prepare-database.ts';
import { newId, type NodeId } from './protocol/ids.ts';
import { SYNC_PATH } from './protocol/messages.ts';
import { ShardPool } from './workers/shard-pool.ts';

export interface RunningNode {
  readonly url: string;
  readonly http: string;
  readonly transport: string;
  readonly shards: number;
  /** Resolves when the node can't go on: the embedded database ended by itself. */
  readonly failed: Promise<string>;
  stop(): Promise<void>;
}

/** Of the 5 s that a stop may take. */
const DRAIN_MS = 3500;
const IDLE_SECONDS = 60;

/** Starts a node. Rejects with an error that names cause and remedy; what was started by then is stopped. */
export async function startNode(config: Config, log: Log): Promise<RunningNode> {
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) {
      // One step that fails must not keep the others from being done.
      await step().catch((error: unknown) =>
        log.error({ error: String(error) }, 'a step of the shutdown failed'),
      );
    }
  };
  try {
    return await start(config, log, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  config: Config,
  log: Log,
  undo: (() => Promise<void>)[],
  stop: () => Promise<void>,
): Promise<RunningNode> {
  const { limits } = config;
  // A key that cannot be used is said before anything is started.
  const given = config.tokenKey && (await createTokenVerifier(config.tokenKey));
  const database = await openDatabase(config, log);
  undo.push(database.stop);
  const epoch = await prepareDatabase({ url: database.url, log });
  const verify =
    given ??
    (await createTokenVerifier({ kind: 'secret', secret: (await localSecret(config.dataDir, true))! }));
  const node = newId<NodeId>(systemClock.now(), systemRandom);
  const gateway = new Gateway({ clock: systemClock, log, limits, node, epoch, verify });

  const shards = new ShardPool(
    {
      shards: config.shards,
      clock: systemClock,
      random: systemRandom,
      log,
      config: {
        databaseUrl: database.url,
        epoch,
        limits,
        evictIdleMs: config.evictIdleMs,
        memoryBytesMax: config.memoryMbPerShard << 20,
        logLevel: config.logLevel,
      },
    },
    {
      record: (type, connection, bytes) => gateway.record(type, connection, bytes),
      shardLost: (shard) => gateway.shardLost(shard),
    },
  );
  const drain = () => shards.drain(DRAIN_MS);
  undo.push(drain);

  const readiness = openPostgresLogStore({ url: database.url, log, readConnections: 1, otherConnections: 1 });
  undo.push(() => readiness.close());
  // uWebSockets.js takes 4 KiB of request head by default; a token alone may have 8.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= '16384';
  const transport = await openTransport(
    config.transport,
    { messageBytesMax: limits.messageBytesMax, backpressureBytesMax: limits.socketBufferBytesMax, idleSeconds: IDLE_SECONDS },
    {
      upgrade: decideUpgrade,
      open: (socket, context) => gateway.open(socket, context.token),
      message: (socket, bytes, isBinary) => gateway.message(socket, bytes, isBinary),
      drain: (socket) => gateway.drained(socket),
      dropped: (socket) => gateway.dropped(socket),
      close: (socket) => gateway.closed(socket),
      http: (path) => answerHttp(path, {
        ready: () => readiness.ping(),
        metrics: async () => shards.metrics(await gateway.metrics.registry.getMetricsAsJSON()),
      }),
    },
    log,
  ); // prettier-ignore
  gateway.attach(transport, shards);
  const port = await transport.listen(config.host, config.syncPort);
  const stopListening = async () => transport.stopListening();
  // Now that sockets may be open the shards drain before these are closed: they hear of their last commits.
  const farewell = async () => {
    gateway.farewell();
    await transport.close();
  };
  undo.splice(0, undo.length, database.stop, () => readiness.close(), farewell, drain, stopListening);

  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const url = `ws://${host}:${port}${SYNC_PATH}`;
  const http = `http://${host}:${port}`;
  const startedAt = new Date(systemClock.now()).toISOString();
  await writeServerFile(config.dataDir, { pid: process.pid, url, http, startedAt });
  undo.push(() => removeServerFile(config.dataDir));
  log.info({ url, transport: transport.name, shards: config.shards, node }, 'octavo listens');
  return { url, http, transport: transport.name, shards: config.shards, failed: database.failed, stop };
}

interface Database {
  readonly url: string;
  readonly failed: Promise<string>;
  stop(): Promise<void>;
}

async function openDatabase({ databaseUrl, dataDir }: Config, log: Log): Promise<Database> {
  if (databaseUrl !== null) return { url: databaseUrl, failed: new Promise(() => {}), stop: async () => {} };
  const embedded = await startEmbeddedPostgres({ dataDir, log });
  let stopping = false;
  const failed = new Promise<string>((resolve) => {
    void embedded.exited.then(() => {
      if (!stopping) resolve('the embedded PostgreSQL ended by itself; its log is in DATA_DIR/postgres.log');
    });
  });
  const stop = () => {
    stopping = true;
    return embedded.stop();
  };
  return { url: embedded.url, failed, stop };
}

interface HttpSources {
  ready(): Promise<void>;
  metrics(): Promise<string>;
}

async function answerHttp(path: string, sources: HttpSources): Promise<HttpReply> {
  const text = (status: number, body: string): HttpReply => ({ status, contentType: 'text/plain; charset=utf-8', body });
  switch (path) {
    case '/healthz':
      return text(200, 'ok\n');
    case '/readyz':
      return sources.ready().then(
        () => text(200, 'ready\n'),
        () => text(503, 'not ready: the database does not answer\n'),
      );
    case '/metrics':
      return { status: 200, contentType: 'text/plain; version=0.0.4; charset=utf-8', body: await sources.metrics() };
    default:
      return text(404, 'here are /healthz, /readyz, /metrics, and WebSockets at /v1/sync\n');
  }
} // prettier-ignore
