/**
 * A rolling restart: two servers on one database behind a load balancer, people who write without a pause, and one server
 * after the other told to stop and started again. How long they wait is printed; where it is a property of the code and not
 * of the machine, on virtual time, it has a bound (test/sim/rolling.test.ts).
 */
import { afterEach, expect, test } from 'vitest';
import { type Balancer, openBalancer } from '../support/balancer.ts';
import { Crowd, quantile } from '../support/crowd.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const PEOPLE = 20;
const RATE = 60;

const servers: TestServer[] = [];
let balancer: Balancer | undefined;
let crowd: Crowd | undefined;

afterEach(async () => {
  await crowd?.leave();
  await balancer?.close();
  // The first has the database.
  for (const server of servers.splice(0).reverse()) await server.dispose();
});

const socketsOf = async (server: TestServer): Promise<number> => {
  const metrics = await (await fetch(`${server.http}/metrics`)).text();
  return Number(/^octavo_sockets (\d+)/m.exec(metrics)?.[1]);
};

test('G108 K100 two servers are restarted in turn under twenty people who write: nothing is lost, doubled or refused', async () => {
  const env = { DRAIN_MS: '5000', SHARDS: '1' };
  const first = await startServer({ env });
  servers.push(first);
  const second = await startServer({ env, databaseUrl: first.databaseUrl! });
  servers.push(second);
  balancer = await openBalancer(servers);
  crowd = await Crowd.gather(balancer, { pages: 4, peopleOnEach: PEOPLE / 4, rate: RATE });
  const statuses: string[] = [];
  for (const { client } of crowd.people) client.on('status', (status) => void statuses.push(status));
  crowd.write();
  const went: number[] = [];
  for (const server of [first, second, first]) {
    const before = crowd.confirmed;
    await until(() => crowd!.confirmed > before + RATE, () => `${crowd!.confirmed - before} changes were acknowledged`);
    expect(await socketsOf(server)).toBeGreaterThan(0);
    const started = performance.now();
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    went.push(Math.round(performance.now() - started));
    await server.restart();
    await balancer.look();
  }
  await crowd.stop();
  const changes = await crowd.check(first.databaseUrl!);
  const worst = Math.round(Math.max(...crowd.waits));
  console.log(`${changes} changes of ${PEOPLE} people, three restarts (${went.join(', ')} ms each): the longest wait for an acknowledgement was ${worst} ms, p99 ${Math.round(quantile(crowd.waits, 0.99))} ms; ${statuses.filter((status) => status === 'connecting').length} of ${3 * PEOPLE} moves were seen by the application`);
  expect(statuses).not.toContain('closed');
}); // prettier-ignore
