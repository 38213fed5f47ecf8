/**
 * A load balancer, as plain as they come: TCP, in turns among the servers whose `/readyz` says yes, looked at now and then;
 * a connection that the first cannot take goes to the next.
 */
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { sleep } from '../../src/base/time.ts';
import type { TestServer } from './server.ts';

export interface Balancer {
  readonly url: string;
  /** Resolves when each server that is ready, and no other, is known to be. */
  look(): Promise<void>;
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 50;

export async function openBalancer(servers: readonly Pick<TestServer, 'http'>[]): Promise<Balancer> {
  const sockets = new Set<Socket>();
  let ready: readonly number[] = [];
  let turn = 0;
  const lookAt = async ({ http }: Pick<TestServer, 'http'>) => {
    const isReady = await fetch(`${http}/readyz`).then(({ status }) => status === 200, () => false); // prettier-ignore
    const port = Number(new URL(http).port);
    ready = [...ready.filter((one) => one !== port), ...(isReady ? [port] : [])];
  };
  const look = async () => void (await Promise.all(servers.map(lookAt)));
  const server = createServer((client) => {
    const first = turn++;
    keep(client);
    client.on('error', () => client.destroy());
    const toNext = (tried: number) => {
      if (tried >= ready.length) return client.destroy();
      const target = connectTcp(ready[(first + tried) % ready.length]!, '127.0.0.1');
      keep(target);
      let met = false;
      target.on('connect', () => {
        met = true;
        client.pipe(target).pipe(client);
        client.on('close', () => target.destroy());
      });
      target.on('error', () => (met ? client.destroy() : toNext(tried + 1)));
      target.on('close', () => met && client.destroy());
    };
    toNext(0);
  });
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  };
  let closed = false;
  const looking = servers.map(async (server) => {
    for (; !closed; await sleep(LOOK_EVERY_MS)) await lookAt(server);
  });
  await look();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as { port: number }).port}/v1/sync`,
    look,
    async close() {
      closed = true;
      await Promise.all(looking);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
