/**
 * A store whose appends are looked at, where something traced is in them. Everything else goes through.
 */
import type { AppendBatch, LogStore } from '../persistence/log-store.ts';
import type { PageId } from '../protocol/ids.ts';
import type { ChangeTraces } from './change-traces.ts';

export function tracedStore(store: LogStore, changes: ChangeTraces): LogStore {
  return {
    epoch: () => store.epoch(),
    renewEpoch: (old) => store.renewEpoch(old),
    openPage: (page, create) => store.openPage(page, create),
    append: (batches) => append(store, changes, batches),
    readLog: (page, after, limit, bytesMax) => store.readLog(page, after, limit, bytesMax),
    async readTail(page, after, limit, bytesMax, wants) {
      const tail = await store.readTail(page, after, limit, bytesMax, wants);
      if (tail) changes.logged(page, tail.entries);
      return tail;
    },
    readHeads: (pages) => store.readHeads(pages),
    readSnapshots: (page) => store.readSnapshots(page),
    saveSnapshot: (page, epoch, snapshot) => store.saveSnapshot(page, epoch, snapshot),
    ping: () => store.ping(),
    close: () => store.close(),
  };
}

async function append(store: LogStore, changes: ChangeTraces, batches: readonly AppendBatch[]): Promise<ReadonlyMap<PageId, boolean>> {
  const traced = changes.appending(batches);
  if (!traced) return store.append(batches);
  try {
    const appended = await store.append(batches);
    changes.appended(traced, appended);
    return appended;
  } catch (error) {
    // The outside world: for the commit loop to deal with.
    changes.appended(traced, null, String((error as { code?: unknown }).code ?? 'failed'));
    throw error;
  }
} // prettier-ignore
