/**
 * ShareDB at its defaults on `ws`, as its documentation shows; in memory, or with DATABASE_URL on its PostgreSQL adapter.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { WebSocketServer, type WebSocket } from 'ws';
import { loadPackage, PEERS_DIR } from '../lib/packages.ts';
import { ready } from '../lib/ready.ts';

interface ShareDb {
  default: new (options?: { db: object }) => { listen(stream: object): void };
}
interface PostgresAdapter {
  default: new (options: { connectionString: string }) => { _pool: pg.Pool };
}
interface Streams {
  default: new (socket: WebSocket) => object;
}

async function postgres(connectionString: string): Promise<object> {
  const { default: Postgres } = await loadPackage<PostgresAdapter>('sharedb-postgres');
  const tables = readFileSync(new URL('node_modules/sharedb-postgres/structure.sql', PEERS_DIR), 'utf8');
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(tables);
  await client.end();
  const database = new Postgres({ connectionString });
  // The database is dropped under it at the end.
  database._pool.on('error', () => {});
  return database;
}

const { default: ShareDb } = await loadPackage<ShareDb>('sharedb');
const { default: Stream } = await loadPackage<Streams>('@teamwork/websocket-json-stream');
const url = process.env['DATABASE_URL'];
const backend = url ? new ShareDb({ db: await postgres(url) }) : new ShareDb();
const http = createServer();
const sockets = new WebSocketServer({ server: http });
sockets.on('connection', (socket) => backend.listen(new Stream(socket)));
http.listen(0, '127.0.0.1', () => ready((http.address() as AddressInfo).port));
