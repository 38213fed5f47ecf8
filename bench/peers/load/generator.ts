/**
 * The load generator for all peers: one program, whatever the protocol, so that its part of the figures is the same.
 */
import { TypingClient } from '../../load/load-client.ts';
import { obeyOrders, openInTurn } from '../../load/load-process.ts';
import type { Hearing, Typist } from '../../load/load-run.ts';
import { heardSlot, type OctavoPlan, type PeerPlan, type Plan } from './plan.ts';
import { ShareDbTypist } from './sharedb-typist.ts';
import { YjsTypist } from './yjs-typist.ts';

/** Of the first page only, so that it costs nothing that shows. */
const WITNESS_PAGE = 0;
const WITNESS_SLOT = 1;

async function openOctavo({ pages, counts, readers }: OctavoPlan, hearing: Hearing): Promise<Typist[][]> {
  const all: TypingClient[][] = pages.map(() => []);
  const opens = pages.flatMap(({ page: id, clients }, i) =>
    clients.map((client, slot) => () => {
      const hears = heardSlot(slot, clients.length, readers);
      return TypingClient.open(id, client, { slot, hears, page: all[i]!, hearing, counts });
    }),
  );
  await openInTurn(opens);
  return all;
}

async function openPeers({ protocol, url, pages, readers }: PeerPlan, hearing: Hearing): Promise<Typist[][]> {
  const all: Typist[][] = pages.map(() => []);
  const opens = pages.flatMap((page, i) => {
    const slotBySource = new Map<string, number>();
    return Array.from({ length: page.clients }, (_, slot) => () => {
      const isWitness = i === WITNESS_PAGE && slot === WITNESS_SLOT;
      const place = { page, slot, hears: heardSlot(slot, page.clients, readers), hearing, isWitness };
      return protocol === 'sharedb'
        ? ShareDbTypist.open(url, { ...place, slotBySource, clients: all[i] as ShareDbTypist[] })
        : YjsTypist.open(url, protocol, { ...place, clients: all[i] as YjsTypist[] });
    });
  });
  await openInTurn(opens);
  return all;
}

obeyOrders<Plan>((plan, hearing) =>
  plan.protocol === 'octavo' ? openOctavo(plan, hearing) : openPeers(plan, hearing),
);
