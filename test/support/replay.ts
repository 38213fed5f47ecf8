/**
 * The log as an arbiter, as `octavo chaos` reads it.
 */

export { readWholeLog } from '../../src/chaos/read-log.ts';
export { foldLog, type LoggedChange, logFaults } from '../../src/chaos/replay.ts';
