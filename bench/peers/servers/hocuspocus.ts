/**
 * Hocuspocus at its defaults, but for the start screen. With DATABASE_URL its database extension stores documents as its
 * documentation shows: one row each, written anew at each store. HOCUSPOCUS_DEBOUNCE replaces the ms by which it puts
 * stores off.
 */
import pg from 'pg';
import { loadPackage } from '../lib/packages.ts';
import { ready } from '../lib/ready.ts';

interface Hocuspocus {
  Server: new (configuration: object) => {
    listen(): Promise<unknown>;
    readonly address: { readonly port: number };
  };
}

interface Stored {
  readonly documentName: string;
  readonly state: Uint8Array;
}

interface DatabaseExtension {
  Database: new (configuration: {
    fetch(asked: { documentName: string }): Promise<Uint8Array | null>;
    store(stored: Stored): Promise<void>;
  }) => object;
}

async function postgres(connectionString: string): Promise<object> {
  const { Database } = await loadPackage<DatabaseExtension>('@hocuspocus/extension-database');
  const pool = new pg.Pool({ connectionString });
  // The database is dropped under it at the end.
  pool.on('error', () => {});
  await pool.query('create table if not exists documents (name text primary key, data bytea not null)');
  return new Database({
    async fetch({ documentName }) {
      const { rows } = await pool.query<{ data: Buffer }>('select data from documents where name = $1', [documentName]);
      return rows[0]?.data ?? null;
    },
    async store({ documentName, state }) {
      const upsert = 'insert into documents values ($1, $2) on conflict (name) do update set data = excluded.data';
      await pool.query(upsert, [documentName, state]);
    },
  });
} // prettier-ignore

const { DATABASE_URL: url, HOCUSPOCUS_DEBOUNCE: debounce } = process.env;
const { Server } = await loadPackage<Hocuspocus>('@hocuspocus/server');
const server = new Server({
  port: 0,
  address: '127.0.0.1',
  quiet: true,
  extensions: url ? [await postgres(url)] : [],
  ...(debounce ? { debounce: Number(debounce) } : {}),
});
await server.listen();
ready(server.address.port);
