/**
 * The log as an arbiter: a page's changes read straight from PostgreSQL and folded anew, to compare every copy with.
 */
import pg from 'pg';
import { BlockTable } from '../../src/document/blocks.ts';
import { decodeOps } from '../../src/document/ops.ts';
import type { PageId, ReplicaId } from '../../src/protocol/ids.ts';

export interface LoggedChange {
  readonly seq: number;
  readonly replica: ReplicaId;
  readonly n: number;
  readonly body: Uint8Array;
  readonly hlcMs: number;
  readonly hlcCounter: number;
}

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

/** What is wrong with a log: gaps in seq, a (replica, n) twice or out of order. Empty when all is well. */
export function logFaults(log: readonly LoggedChange[]): string[] {
  const faults: string[] = [];
  const lastN = new Map<ReplicaId, number>();
  log.forEach(({ seq, replica, n }, i) => {
    if (seq !== i + 1) faults.push(`seq ${seq} at place ${i + 1}`);
    if (n !== (lastN.get(replica) ?? 0) + 1)
      faults.push(`n ${n} of ${replica} after ${lastN.get(replica) ?? 0}`);
    lastN.set(replica, n);
  });
  return faults;
}

/** The state that the log gives. */
export function foldLog(page: PageId, log: readonly LoggedChange[]): BlockTable {
  const table = new BlockTable(page);
  for (const { body, hlcMs, hlcCounter, replica } of log) {
    const ops = decodeOps(body);
    if (!Array.isArray(ops)) throw new Error(`a logged change cannot be read: ${ops.malformed}`);
    const stamp = { ms: hlcMs, counter: hlcCounter, replica };
    for (const op of ops) table.apply(op, stamp);
  }
  return table;
}
