/**
 * A page's log, read straight from PostgreSQL, past everything that the server does with it.
 */
import pg from 'pg';
import type { PageId, ReplicaId } from '../protocol/ids.ts';
import type { LoggedChange } from './replay.ts';

export async function readWholeLog(databaseUrl: string, page: PageId): Promise<LoggedChange[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      'select seq, replica, n, body, hlc_ms, hlc_ctr from changes where page_id = $1 order by seq',
      [page],
    );
    return rows.map((row: Record<string, unknown>) => ({
      seq: Number(row['seq']),
      replica: row['replica'] as ReplicaId,
      n: Number(row['n']),
      body: new Uint8Array(row['body'] as Buffer),
      hlcMs: Number(row['hlc_ms']),
      hlcCounter: Number(row['hlc_ctr']),
    }));
  } finally {
    await client.end();
  }
}
