/**
 * Ports for servers that tests start, and start again in the same place.
 */

export { freePort } from '../../src/chaos/free-port.ts';
