/**
 * `octavo rebuild`: takes away the snapshots of a page that are not what its log says, and stores one made anew from the
 * log, at the log's end. The log is never changed, and a page whose log is damaged is left as it is: what snapshots hold
 * of it may be all that is left.
 *
 * Safe beside running servers. Snapshots are only caches of the log: a load that finds none folds the whole log. A bad
 * one is removed only while it is the one that was looked at; and the store keeps the newest two whoever saved them. A
 * page in a server's memory goes on as it is, since it read its snapshot before.
 */
import { threadedCompression } from '../actors/compression.ts';
import { PageLoader } from '../actors/page-loader.ts';
import type { Log } from '../base/log.ts';
import { systemClock } from '../base/time.ts';
import type { RepairStore } from '../persistence/repair-store.ts';
import type { PageId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import { type PageReport, verifyPage } from './verify-page.ts';

export type RebuildOutcome =
  | { readonly done: true; readonly before: PageReport; readonly removed: readonly number[]; readonly stored: number | null }
  | { readonly done: false; readonly before: PageReport; readonly why: string }; // prettier-ignore

/** Rejects when the store does. */
export async function rebuildPage(store: RepairStore, page: PageId, limits: Limits, log: Log): Promise<RebuildOutcome> {
  const epoch = await store.epoch();
  const { report: before, check, bad } = await verifyPage(store, page, limits);
  const refuse = (why: string): RebuildOutcome => ({ done: false, before, why });
  if (before.verdict === 'absent') return refuse('there is no such page');
  if (check.faultCount > 0) return refuse('its log is damaged: a snapshot made of it would hide that. Nothing was changed');
  if (!check.isWhole) return refuse(`${before.notes.join('; ')}. Nothing was changed`);
  const removed: number[] = [];
  for (const found of bad) if (await store.removeSnapshot(page, found)) removed.push(found.seq);
  // The empty page needs none.
  if (check.at === 0) return { done: true, before, removed, stored: null };
  const { model, at } = check;
  const taken = { epoch, seq: at, modelVersion: model.version, plain: model.encodeSnapshot(), private: check.encodePrivate() };
  await new PageLoader({ store, limits, log, clock: systemClock, compression: threadedCompression }).save(page, taken);
  return { done: true, before, removed, stored: check.at };
} // prettier-ignore
