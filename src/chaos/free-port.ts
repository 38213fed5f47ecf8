/**
 * Ports for processes that are started, and started again in the same place.
 */
import { createServer } from 'node:net';
import { randomBelow, systemRandom } from '../base/random.ts';

/**
 * A port that nobody listens on, below the range that the system hands out by itself. Not 0: uWebSockets.js then binds
 * without SO_REUSEADDR, and a restart on the same port would wait for a minute until the old connections are forgotten.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + randomBelow(systemRandom, 22_000);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => probe.close(resolve));
    if (isFree) return port;
  }
}
