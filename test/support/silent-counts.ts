/**
 * What an actor counts, for worlds in which nobody asks.
 */
import type { ActorCounts } from '../../src/actors/world.ts';

const nothing = () => {};

export const silentCounts: ActorCounts = {
  change: nothing,
  refused: nothing,
  retried: nothing,
  committed: nothing,
  commitMs: nothing,
  lost: nothing,
  notice: nothing,
  catchUp: nothing,
  joined: nothing,
  diverged: nothing,
  stall: nothing,
  volatile: nothing,
};
