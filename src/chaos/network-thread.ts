/**
 * The network's thread: holds all links and the load balancer, so that what the clients of a run have to compute delays no byte
 * between the nodes and their database. Orders come from `network.ts`, one answer each.
 */
import { parentPort } from 'node:worker_threads';
import { assertNever } from '../base/assert.ts';
import { type Backend, Balancer } from './balancer.ts';
import { Link, type LinkState } from './link.ts';

export type NetworkOrder =
  /** Opens a link; null: it leads to whichever node the balancer chooses. Answers with its port. */
  | { readonly do: 'open'; readonly link: string; readonly to: number | null }
  | { readonly do: 'set'; readonly link: string; readonly state: LinkState }
  | { readonly do: 'heal'; readonly link: string }
  /** Answers with the names of the links that lead to this port now. */
  | { readonly do: 'leadTo'; readonly port: number }
  /** Where the nodes listen, for the balancer. */
  | { readonly do: 'nodes'; readonly ports: readonly number[] };

const links = new Map<string, Link>();
const backends: (Backend & { port: number })[] = [];
const balancer = new Balancer(backends);

async function obey(order: NetworkOrder): Promise<unknown> {
  switch (order.do) {
    case 'open': {
      const { to } = order;
      const link = await Link.open(to === null ? () => balancer.ports() : () => [to]);
      links.set(order.link, link);
      return link.port;
    }
    case 'set':
      return links.get(order.link)!.set(order.state);
    case 'heal':
      return links.get(order.link)!.heal();
    case 'leadTo':
      return [...links].flatMap(([name, link]) => (link.farPorts.includes(order.port) ? name : []));
    case 'nodes': {
      order.ports.forEach((port, i) => (backends[i] ? (backends[i].port = port) : backends.push({ port })));
      return balancer.probe();
    }
    default:
      return assertNever(order);
  }
}

parentPort!.on('message', ({ id, order }: { id: number; order: NetworkOrder }) => {
  void obey(order).then((answer) => parentPort!.postMessage({ id, answer }));
});
balancer.start();
