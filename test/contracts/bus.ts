/**
 * The contract of the bus port, run on each of its twins (bus.test.ts). A bench is one bus; every `open` is a node's own
 * end of it.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import type { Bus, BusTopic, OpenBus } from '../../src/cluster/bus.ts';
import { newId, type PageId } from '../../src/protocol/ids.ts';
import { until } from '../support/wait.ts';

interface Node {
  readonly bus: Bus;
  readonly got: string[];
  ready: number;
  followed: number;
}

export function busContract(name: string, make: () => OpenBus): void {
  describe(`bus: ${name}`, () => {
    const nodes: Node[] = [];
    const page = () => newId<PageId>(1_700_000_000_000, systemRandom);
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const payload = (words: string) => new TextEncoder().encode(words);

    async function open(bus: OpenBus, count: number, topic: BusTopic = 'changes'): Promise<Node[]> {
      const opened = Array.from({ length: count }, () => {
        const node: Node = {
          got: [],
          ready: 0,
          followed: 0,
          bus: bus(topic, {
            message: (at, bytes) => void node.got.push(`${at.slice(-4)} ${text(bytes)}`),
            following: () => void node.followed++,
            ready: () => void node.ready++,
          }),
        };
        nodes.push(node);
        return node;
      });
      await until(
        () => opened.every((node) => node.ready > 0 && node.bus.isUp),
        () => 'ready',
      );
      return opened;
    }

    afterEach(async () => {
      for (const node of nodes.splice(0)) await node.bus.close();
    });

    test('S50 a message reaches all others that follow the page, in order, and not its publisher', async () => {
      const [a, b, c, d] = (await open(make(), 4)) as [Node, Node, Node, Node];
      const [one, two] = [page(), page()];
      for (const node of [a, b, c]) node.bus.subscribe(one);
      d.bus.subscribe(two);
      const expected = ['first', 'second', 'third'].map((words) => `${one.slice(-4)} ${words}`);
      // A subscription takes its time: what is published before it is lost, and that is allowed.
      await until(
        () => {
          a.bus.publish(one, payload('probe'));
          return b.got.length > 0 && c.got.length > 0;
        },
        () => 'a probe',
      );
      a.bus.publish(one, payload('end of probes'));
      await until(
        () => [b, c].every((node) => node.got.at(-1)?.endsWith('end of probes') ?? false),
        () => 'the end',
      );
      b.got.length = c.got.length = 0;
      for (const words of ['first', 'second', 'third']) a.bus.publish(one, payload(words));
      await until(
        () => b.got.length === 3 && c.got.length === 3,
        () => 'three messages',
      );
      expect([b.got, c.got, a.got, d.got]).toEqual([expected, expected, [], []]);
    });

    test('S50 who has left the page hears no more of it', async () => {
      const [a, b, c] = (await open(make(), 3)) as [Node, Node, Node];
      const one = page();
      b.bus.subscribe(one);
      c.bus.subscribe(one);
      await until(
        () => {
          a.bus.publish(one, payload('probe'));
          return b.got.length > 0 && c.got.length > 0;
        },
        () => 'a probe',
      );
      b.bus.unsubscribe(one);
      await until(
        () => {
          const before = b.got.length;
          a.bus.publish(one, payload('probe'));
          return b.got.length === before;
        },
        () => 'silence',
      );
      const [heard, others] = [b.got.length, c.got.length];
      a.bus.publish(one, payload('last'));
      await until(
        () => c.got.length > others && c.got.at(-1)!.endsWith('last'),
        () => 'the last',
      );
      expect(b.got.length).toBe(heard);
    });

    test('S50 who follows a page is told from when on it is heard', async () => {
      const [a, b] = (await open(make(), 2)) as [Node, Node];
      const one = page();
      b.bus.subscribe(one);
      await until(
        () => b.followed === 1,
        () => 'following',
      );
      a.bus.publish(one, payload('first'));
      await until(
        () => b.got.length === 1,
        () => 'the first',
      );
      expect(a.followed).toBe(0);
    });

    test('S50 topics do not hear each other', async () => {
      const bus = make();
      const [a, b] = (await open(bus, 2)) as [Node, Node];
      const [c, d] = (await open(bus, 2, 'presence')) as [Node, Node];
      const one = page();
      for (const node of [b, d]) node.bus.subscribe(one);
      await until(
        () => b.followed === 1 && d.followed === 1,
        () => 'following',
      );
      a.bus.publish(one, payload('change'));
      c.bus.publish(one, payload('presence'));
      await until(
        () => b.got.length === 1 && d.got.length === 1,
        () => 'both',
      );
      expect([b.got, d.got]).toEqual([[`${one.slice(-4)} change`], [`${one.slice(-4)} presence`]]);
    });

    test('S50 the payload is taken before publish returns', async () => {
      const [a, b] = (await open(make(), 2)) as [Node, Node];
      const one = page();
      b.bus.subscribe(one);
      const bytes = payload('as it was');
      await until(
        () => {
          const sent = bytes.slice();
          a.bus.publish(one, sent);
          sent.fill(0);
          return b.got.length > 0;
        },
        () => 'a message',
      );
      expect(b.got[0]).toBe(`${one.slice(-4)} as it was`);
    });
  });
}
