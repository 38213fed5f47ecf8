/**
 * The time that edits spend in each hop from socket to sockets, in one histogram to which gateway and shards each add
 * their part:
 *
 *     socket ─▶ gateway ─gateway_to_shard─▶ shard ─queue─▶ ─commit─▶ shard ─shard_to_gateway─▶ sockets
 *                        (a batch)              (a change)  (a change)         (a batch)
 */
import type { Registry } from 'prom-client';
import { durations } from '../base/spread.ts';
import type { Millis } from '../base/time.ts';

const HOPS = ['gateway_to_shard', 'queue', 'commit', 'shard_to_gateway'] as const;
export type Hop = (typeof HOPS)[number];
const HELP =
  'Time in each hop: of a batch to the shard and back, of a change waiting for the database and committed';

/** How to add to one of the hops. Every registry has all of them, since they are added up. */
export function hopTimes(registry: Registry): (hop: Hop) => (ms: Millis) => void {
  const times = durations(registry, 'octavo_hop_seconds', HELP, HOPS.map((hop) => ({ hop }))); // prettier-ignore
  return (hop) => {
    const series = HOPS.indexOf(hop);
    return (ms) => times.add(ms, series);
  };
}
