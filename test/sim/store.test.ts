/**
 * Without faults the simulated store is a log store like any other: the contract, on virtual time.
 */
import { MemoryDatabase } from '../../src/persistence/memory-log-store.ts';
import { logStoreContract } from '../contracts/log-store.ts';
import { Dice } from './dice.ts';
import { SimStore, type StoreOwner } from './store.ts';
import { Timeline } from './timeline.ts';
import { Trace } from './trace.ts';
import { fairWeather } from './plan.ts';

const owner: StoreOwner = { isAlive: true, cutUntil: 0, crash: () => {} };

logStoreContract('simulated', async () => {
  const timeline = new Timeline();
  const database = new MemoryDatabase();
  let isOver = false;
  void timeline.run(() => isOver);
  const shared = {
    timeline,
    database,
    dice: Dice.of(1, 1),
    trace: new Trace(timeline),
    stalledUntil: 0,
    weather: () => fairWeather,
    appended: () => {},
    saved: () => {},
  };
  return {
    open: (log) => new SimStore(shared, owner, log),
    setClosed: async (page, closed) => database.setClosed(page, closed),
    damageSnapshot: async (page, at) => database.damageSnapshot(page, at),
    destroy: async () => {
      isOver = true;
    },
  };
});
