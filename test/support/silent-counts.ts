/**
 * What an actor counts, for worlds in which nobody asks.
 */
import type { ActorCounts } from '../../src/actors/world.ts';

const nothing = () => {};

export const silentCounts: ActorCounts = {
  change: nothing,
  committed: nothing,
  commitMs: nothing,
  notice: nothing,
  join: nothing,
  diverged: nothing,
  stall: nothing,
  volatile: nothing,
};
