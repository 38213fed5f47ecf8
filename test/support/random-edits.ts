/**
 * Random edits of all kinds, as `octavo chaos` makes them.
 */

export { randomEdit } from '../../src/chaos/edits.ts';
