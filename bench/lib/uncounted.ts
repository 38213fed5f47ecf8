/**
 * Loaded into every thread of a server by `node --import`: its counters and histograms count nothing. What is left of their
 * cost is a call of an empty function, and a look at the clock for each batch between threads.
 */
import { Spread } from '../../src/base/spread.ts';
import { Tally, TallyBy } from '../../src/base/tally.ts';

const nothing = (): void => {};
for (const { prototype } of [Tally, TallyBy, Spread]) prototype.add = nothing;
