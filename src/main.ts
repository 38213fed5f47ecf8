/**
 * A node: configuration in, a running server out. Starts database, shards, gateway and transport in that order, and ends
 * them in the other: `/readyz` says no and no socket is let in, clients are told to move to another node and served until
 * they go, what is queued is committed, dirty pages are snapshotted, sockets that are left are closed with "come back".
 */
import type { Log } from './base/log.ts';
import { systemRandom } from './base/random.ts';
import { systemClock } from './base/time.ts';
import type { Config } from './config.ts';
import { refuseAdmin } from './gateway/admin.ts';
import { createTokenVerifier } from './gateway/auth.ts';
import { countedHandlers, type HandlerCounts } from './gateway/counted-handlers.ts';
import { Gateway } from './gateway/gateway.ts';
import { loggedHandlers } from './gateway/logged-handlers.ts';
import { openTransport } from './gateway/open-transport.ts';
import { TRANSPORT_SHARE } from './gateway/outbox.ts';
import type { TransportHandlers } from './gateway/transport.ts';
import { TrustedProxies } from './gateway/trusted-proxies.ts';
import { decideUpgrade, type UpgradeContext } from './gateway/upgrade.ts';
import { answerHttp, type HttpSources } from './http-answers.ts';
import { localSecret, removeServerFile, writeServerFile } from './local-server.ts';
import { measureNode } from './node-metrics.ts';
import { type NodeTracing, openTracing } from './open-tracing.ts';
import { startEmbeddedPostgres } from './persistence/embedded/embedded-postgres.ts';
import { openPostgresLogStore } from './persistence/postgres-log-store.ts';
import { prepareDatabase } from './persistence/prepare-database.ts';
import { RevocationFeed } from './persistence/revocation-feed.ts';
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
  /** Ends in `DRAIN_MS`, for the clients, and 5 s for the rest. */
  stop(): Promise<void>;
  /** A stop, now or later, waits for no client. */
  hurry(): void;
}

/** Of the 5 s that a stop may take besides what clients have to move. */
const COMMIT_MS = 3500;
const IDLE_SECONDS = 60;
/** A load balancer may try another server then. */
const GOING = { accept: false, status: 503, body: 'the server is going away\n' } as const;

/** Starts a node. Rejects with an error that names cause and remedy; what was started by then is stopped. */
export async function startNode(config: Config, log: Log): Promise<RunningNode> {
  const undo: (() => Promise<unknown>)[] = [];
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
  undo: (() => Promise<unknown>)[],
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
  const gateway = new Gateway({ clock: systemClock, random: systemRandom, log, limits, node, epoch, verify });
  const { farewell, metrics } = gateway;

  const tracing = openTracing(config.tracing, node, log, metrics.registry);
  const shards = openShards(config, log, database.url, gateway, tracing);
  const drain = () => shards.drain(COMMIT_MS);
  undo.push(drain);

  const readiness = openPostgresLogStore({ url: database.url, log, readConnections: 1, otherConnections: 1 });
  readiness.measure(metrics.registry);
  const ready = () => readyNow(farewell.begun, readiness);
  const answered = measureNode(metrics.registry, {
    shards: shards.count,
    ready,
    topPages: (limit) => shards.pages({ sort: 'subscribers', limit }),
  });
  const revocations = followRevocations(database.url, log, gateway);
  const closeStores = () => Promise.all([revocations.stop(), readiness.close(), tracing.close()]);
  undo.push(closeStores);
  // Known before any socket is let in.
  await revocations.start();
  // uWebSockets.js takes 4 KiB of request head by default; a token alone may have 8.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= '16384';
  const proxies = new TrustedProxies(config.trustedProxies);
  const sources: HttpSources = {
    clock: systemClock,
    ready,
    metrics: async () => shards.metrics(await metrics.registry.getMetricsAsJSON()),
    pages: (query) => shards.pages(query),
    refuse: (request) => refuseAdmin(request, { token: config.adminToken, proxies }),
  };
  const transport = await openTransport(
    config.transport,
    { messageBytesMax: limits.messageBytesMax, backpressureBytesMax: limits.socketBufferBytesMax * TRANSPORT_SHARE, idleSeconds: IDLE_SECONDS, headMs: limits.unauthenticatedMs },
    tracing.handlers(handlersOf(gateway, { config, log, proxies, sources, answered })),
    log,
  ); // prettier-ignore
  gateway.attach(transport, tracing.shards(shards));
  const port = await transport.listen(config.host, config.syncPort);
  const stopListening = async () => transport.stopListening();
  // Now that sockets may be open the shards drain before these are closed: they hear of their last commits.
  const endSockets = async () => {
    gateway.end();
    await transport.close();
  };
  const part = () => farewell.begin(config.drainMs);
  undo.splice(0, undo.length, database.stop, closeStores, endSockets, drain, stopListening);

  const { url, http } = await announce(config, database.url, port);
  undo.push(() => removeServerFile(config.dataDir), part);
  log.info({ url, transport: transport.name, shards: config.shards, node }, 'octavo listens');
  const { failed } = database;
  const hurry = () => farewell.hurry();
  return { url, http, transport: transport.name, shards: config.shards, failed, stop, hurry };
}

interface AroundGateway {
  readonly config: Config;
  readonly log: Log;
  readonly proxies: TrustedProxies;
  readonly sources: HttpSources;
  readonly answered: HandlerCounts['answered'];
}

function handlersOf(gateway: Gateway, { config, log, proxies, sources, answered }: AroundGateway): TransportHandlers<UpgradeContext> {
  const { farewell, metrics } = gateway;
  const handlers: TransportHandlers<UpgradeContext> = {
    upgrade: (request) =>
      farewell.begun ? GOING : decideUpgrade(request, { origins: config.origins, proxies }),
    open: (socket, context) => gateway.open(socket, context),
    message: (socket, bytes, isBinary) => gateway.message(socket, bytes, isBinary),
    drain: (socket) => gateway.drained(socket),
    dropped: (socket) => gateway.dropped(socket),
    close: (socket) => gateway.closed(socket),
    http: (request) => answerHttp(request, sources),
  };
  const counted = countedHandlers(handlers, { clock: systemClock, metrics, answered });
  return config.logLevel === 'debug' ? loggedHandlers(counted, log, systemClock) : counted;
} // prettier-ignore

/** As /readyz and the metrics tell it. */
async function readyNow(isGoing: boolean, store: { ping(): Promise<void> }): Promise<void> {
  if (isGoing) throw new Error(GOING.body);
  await store.ping().catch(() => Promise.reject(new Error('the database does not answer\n')));
}

function openShards(
  config: Config,
  log: Log,
  databaseUrl: string,
  gateway: Gateway,
  tracing: NodeTracing,
): ShardPool {
  const {
    shards,
    limits,
    evictIdleMs,
    memoryMbPerShard,
    shardHeapMb,
    commitStallMs,
    headPollMs,
    redis,
    logLevel,
  } = config;
  return new ShardPool(
    {
      shards,
      clock: systemClock,
      random: systemRandom,
      log,
      config: {
        databaseUrl,
        redis,
        limits,
        evictIdleMs,
        memoryBytesMax: memoryMbPerShard << 20,
        heapMb: shardHeapMb,
        commitStallMs,
        headPollMs,
        logLevel,
        traced: tracing.traced,
      },
    },
    {
      record: tracing.records((type, connection, bytes) => gateway.record(type, connection, bytes)),
      batchDone: (times) => gateway.metrics.batchDone(times, systemClock.monotonic()),
      shardLost: (shard, retryMs) => gateway.shardLost(shard, retryMs),
    },
  );
}

function followRevocations(url: string, log: Log, gateway: Gateway): RevocationFeed {
  return new RevocationFeed({
    url,
    log,
    clock: systemClock,
    random: systemRandom,
    changed: (grants) => gateway.revoked(grants),
  });
}

/** Writes down where the server is, for the commands on this machine. */
async function announce(
  config: Config,
  databaseUrl: string,
  port: number,
): Promise<{ url: string; http: string }> {
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const url = `ws://${host}:${port}${SYNC_PATH}`;
  const http = `http://${host}:${port}`;
  const startedAt = new Date(systemClock.now()).toISOString();
  const ownDatabase = config.databaseUrl === null ? databaseUrl : null;
  await writeServerFile(config.dataDir, { pid: process.pid, url, http, databaseUrl: ownDatabase, startedAt });
  return { url, http };
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
