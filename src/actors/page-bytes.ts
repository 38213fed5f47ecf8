/**
 * About how much memory a page holds: the unit of a shard's budget.
 */
import type { Audience } from './audience.ts';
import type { CommitPipeline } from './commit-pipeline.ts';
import type { PageState } from './page-state.ts';

/** A page without anything in it: actor, pipeline, queue, Maps. */
const PAGE_BYTES = 2000;
/** A subscriber, with its presence; a queued change apart from its body: objects, ids, places in Maps. */
const SUBSCRIBER_BYTES = 500;
const QUEUED_BYTES = 1000;

export function pageBytes(
  { size, elsewhereBytes }: Pick<Audience, 'size' | 'elsewhereBytes'>,
  live: { readonly state: PageState; readonly commits: CommitPipeline } | undefined,
): number {
  const people = PAGE_BYTES + size * SUBSCRIBER_BYTES + elsewhereBytes;
  if (!live) return people;
  const { state, commits } = live;
  return people + state.bytes + commits.bytes + commits.length * QUEUED_BYTES;
}
