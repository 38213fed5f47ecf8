/**
 * The bus on a Redis of the test's own: what happens when that ends, freezes or throws somebody out. What a bus does while all
 * is well stands in test/contracts/bus.ts.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../test/support/free-port.ts';
import { hasRedisServer, OwnRedis, startRedisCluster } from '../../test/support/own-redis.ts';
import { until } from '../../test/support/wait.ts';
import { silentLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { sleep, systemClock } from '../base/time.ts';
import { newId, type PageId } from '../protocol/ids.ts';
import type { Bus } from './bus.ts';
import { hashSlot } from './hash-slot.ts';
import { parseRedisAddress } from './redis-address.ts';
import { redisBus } from './redis-bus.ts';

const page = newId<PageId>(1_700_000_000_000, systemRandom);
const bytes = (text: string) => new TextEncoder().encode(text);

interface Node {
  readonly bus: Bus;
  readonly got: string[];
  readonly logged: string[];
  readonly reasons: string[];
  ready: number;
}

describe.skipIf(!hasRedisServer())('the bus on Redis', () => {
  let redis: OwnRedis;
  const nodes: Node[] = [];

  beforeEach(async () => {
    redis = await OwnRedis.start();
  });
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.bus.close()));
    await redis.dispose();
  });

  function open(url = redis.url): Node {
    const logged: string[] = [];
    const reasons: string[] = [];
    const told = (fields: { readonly reason?: string }, message: string) => {
      logged.push(message);
      if (fields.reason) reasons.push(fields.reason);
    };
    const log = { debug: told, info: told, warn: told, error: told };
    const make = redisBus({
      address: parseRedisAddress(url)!,
      clock: systemClock,
      random: systemRandom,
      log,
    });
    const got: string[] = [];
    const events = {
      message: (_: PageId, payload: Uint8Array) => void got.push(new TextDecoder().decode(payload)),
      following() {},
      ready: () => void node.ready++,
    };
    const node: Node = { bus: make('changes', events), got, logged, reasons, ready: 0 };
    node.bus.subscribe(page);
    nodes.push(node);
    return node;
  }

  const areUp = (...all: Node[]) =>
    until(
      () => all.every(({ bus }) => bus.isUp),
      () => 'up',
    );
  const areDown = (...all: Node[]) =>
    until(
      () => all.every(({ bus }) => !bus.isUp),
      () => 'down',
    );

  /** Says something until it is heard. */
  async function hears(from: Node, to: Node, words: string): Promise<void> {
    await until(
      () => {
        from.bus.publish(page, bytes(words));
        return to.got.includes(words);
      },
      () => `heard: ${words}`,
    );
  }

  test('S101 S100 away at the start, then killed, and back each time: told once, heard again', async () => {
    await redis.kill();
    const [a, b] = [open(), open()];
    await until(
      () => a.logged.length > 0,
      () => 'a line in the log',
    );
    expect(a.bus.publish(page, bytes('nowhere'))).toBe(false);
    await redis.start();
    await areUp(a, b);
    await hears(a, b, 'one');
    await redis.kill();
    await areDown(a, b);
    await sleep(500);
    await redis.start();
    const started = performance.now();
    await areUp(a, b);
    expect(performance.now() - started).toBeLessThan(5000);
    await hears(b, a, 'two');
    expect([a.ready, b.ready]).toEqual([2, 2]);
    expect(a.logged.map((line) => line.split(':')[0])).toEqual([
      'Redis is away',
      'Redis is back',
      'Redis is away',
      'Redis is back',
    ]);
    expect([...a.got, ...b.got]).not.toContain('nowhere');
  });

  test('S100 a frozen Redis is noticed, and its return; nothing that was sent meanwhile piles up', async () => {
    const [a, b] = [open(), open()];
    await areUp(a, b);
    redis.signal('SIGSTOP');
    const frozen = performance.now();
    await areDown(a, b);
    expect(performance.now() - frozen).toBeLessThan(3000);
    const mebibyte = new Uint8Array(1 << 20);
    const taken = Array.from({ length: 20 }, () => a.bus.publish(page, mebibyte));
    expect(taken.filter(Boolean).length).toBeLessThan(4);
    redis.signal('SIGCONT');
    const thawed = performance.now();
    await areUp(a, b);
    expect(performance.now() - thawed).toBeLessThan(5000);
    await hears(a, b, 'again');
  });

  test('S100 frozen for so long that the connections were given up', async () => {
    const [a, b] = [open(), open()];
    await areUp(a, b);
    redis.signal('SIGSTOP');
    await areDown(a, b);
    await sleep(7000);
    redis.signal('SIGCONT');
    const thawed = performance.now();
    await areUp(a, b);
    expect(performance.now() - thawed).toBeLessThan(5000);
    await hears(a, b, 'again');
    expect(a.logged).toHaveLength(2);
  });

  test.each(['pubsub', 'normal'])('S100 connections of type %s thrown out by Redis', async (type) => {
    const [a, b] = [open(), open()];
    await areUp(a, b);
    await redis.command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
    await until(
      () => a.ready === 2 && b.ready === 2,
      () => 'back',
    );
    await hears(a, b, 'again');
  });

  test('S102 what Redis does not take is dropped past a bound, and none of it comes later', async () => {
    const a = open();
    await areUp(a);
    redis.signal('SIGSTOP');
    let taken = 0;
    // Small ones too: each costs more than its bytes.
    while (a.bus.publish(page, bytes('x'))) taken++;
    expect(taken).toBeGreaterThan(1000);
    expect(taken).toBeLessThan(10_000);
    redis.signal('SIGCONT');
    await until(
      () => a.bus.publish(page, bytes('x')),
      () => 'room',
    );
  });

  test('S100 the server’s place is taken by its replica, as the Sentinels have it', async () => {
    const replica = await OwnRedis.start('--replicaof', '127.0.0.1', String(redis.port));
    const sentinel = await OwnRedis.startSentinel(redis);
    try {
      const url = `redis+sentinel://127.0.0.1:1,127.0.0.1:${sentinel.port}/mymaster`;
      const [a, b] = [open(url), open(url)];
      await areUp(a, b);
      await hears(a, b, 'one');
      const known = async () => String(await sentinel.command('SENTINEL', 'REPLICAS', 'mymaster'));
      await until(
        async () => (await known()).includes(String(replica.port)),
        () => 'the replica is known',
      );
      await redis.kill();
      await areDown(a, b);
      await areUp(a, b);
      await hears(a, b, 'two');
      expect(String(await replica.command('ROLE'))).toContain('master');
    } finally {
      await sentinel.dispose();
      await replica.dispose();
    }
  });

  test('S105 the user of docs/operations.md may do all that is needed; one who may not is told why', async () => {
    const [, user] = /`user (octavo on [^`]*)`/.exec(readFileSync('docs/operations.md', 'utf8'))!;
    await redis.command('ACL', 'SETUSER', ...user!.replace('>…', '>p@ss').split(' '));
    await areUp(open(`redis://octavo:p%40ss@127.0.0.1:${redis.port}`));
    for (const [who, reason] of [['octavo:no', 'WRONGPASS'], ['lame:x', 'NOPERM']] as const) {
      await redis.command('ACL', 'SETUSER', 'lame', 'on', '>x', 'resetchannels', '+@all');
      const node = open(`redis://${who}@127.0.0.1:${redis.port}`);
      await until(
        () => node.reasons.length > 0,
        () => 'a line in the log',
      );
      expect(node.reasons[0]).toContain(reason);
    }
  }); // prettier-ignore

  test('S105 a certificate that no authority has signed is refused, and the thread lives on', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'octavo-test-tls-'));
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject], { stdio: 'pipe' });
    const tlsPort = await freePort();
    const args = ['--tls-port', String(tlsPort), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    const encrypted = await OwnRedis.start(...args, '--tls-auth-clients', 'no');
    try {
      const node = open(`rediss://localhost:${tlsPort}`);
      await until(
        () => node.reasons.length > 0,
        () => 'a line in the log',
      );
      expect(node.reasons[0]).toContain('self-signed');
      // A few more attempts: each has its errors.
      await sleep(1000);
      expect(node.bus.isUp).toBe(false);
    } finally {
      await encrypted.dispose();
      await rm(dir, { recursive: true });
    }
  }); // prettier-ignore

  test('S103 what strangers say on a channel is ignored', async () => {
    const [a, b] = [open(), open()];
    await areUp(a, b);
    const stranger = new Redis(redis.port, '127.0.0.1');
    for (const payload of ['', 'beat', 'nine byte', '\u0002nine bytes and more']) {
      await stranger.publish(`octavo:changes:${page}`, payload);
    }
    stranger.disconnect();
    await hears(a, b, 'one');
    expect(new Set(b.got)).toEqual(new Set(['one']));
  });
});

test('S50 channels of a cluster are in the slots that Redis says', () => {
  // From the specification of Redis Cluster, and from CLUSTER KEYSLOT.
  expect(hashSlot('123456789')).toBe(0x31c3);
  expect(hashSlot('foo')).toBe(12182);
  expect(hashSlot('')).toBe(0);
});

describe.skipIf(!hasRedisServer())('the bus on a cluster', () => {
  let servers: OwnRedis[];
  let bus: Bus;
  let ready = 0;
  const got: string[] = [];

  beforeAll(async () => {
    servers = await startRedisCluster();
    const address = parseRedisAddress(`redis+cluster://127.0.0.1:${servers[0]!.port}`)!;
    const make = redisBus({ address, clock: systemClock, random: systemRandom, log: silentLog });
    const message = (_: PageId, payload: Uint8Array) => void got.push(new TextDecoder().decode(payload));
    bus = make('changes', { message, following() {}, ready: () => void ready++ });
    bus.subscribe(page);
  });
  afterAll(async () => {
    await bus.close();
    await Promise.all(servers.map((server) => server.dispose()));
  });

  const isUp = () =>
    until(
      () => bus.isUp,
      () => 'up',
    );

  test('S100 one server of it frozen is an outage', async () => {
    for (const server of servers) {
      await isUp();
      server.signal('SIGSTOP');
      await until(
        () => !bus.isUp,
        () => 'down',
      );
      server.signal('SIGCONT');
    }
  });

  test('S100 a channel is followed to the server that its slot has moved to', async () => {
    await isUp();
    const slot = hashSlot(`octavo:changes:${page}`);
    const from = servers[slot < 5461 ? 0 : slot < 10923 ? 1 : 2]!;
    const to = servers.find((server) => server !== from)!;
    const [fromId, toId] = await Promise.all([from, to].map((one) => one.command('CLUSTER', 'MYID')));
    const before = ready;
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId));
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId));
    for (const server of [to, from]) await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId));
    await until(
      () => ready > before,
      () => 'heard again',
    );
    const client = new Redis(to.port, '127.0.0.1');
    const others = Buffer.concat([Buffer.from([1]), Buffer.from('stranger'), Buffer.from('moved')]);
    await until(
      async () => {
        await client.spublish(`octavo:changes:${page}`, others);
        return got.includes('moved');
      },
      () => 'a message by the new server',
    );
    client.disconnect();
  });
});
