/**
 * The load generator of the suites: a process of its own, so that its CPU time is not the server's. Holds the typing
 * clients of Octavo's pages (`load-client.ts`) and does with them what it is ordered (`load-process.ts`).
 */
import { TypingClient } from './load-client.ts';
import { obeyOrders, openInTurn } from './load-process.ts';
import type { LoadPage } from './orders.ts';

obeyOrders<readonly LoadPage[]>(async (plans, hearing) => {
  const pages: TypingClient[][] = plans.map(() => []);
  await openInTurn(
    plans.flatMap(({ page: id, clients }, i) =>
      clients.map((plan, slot) => () => {
        const hears = (slot + clients.length - 1) % clients.length;
        return TypingClient.open(id, plan, { slot, hears, page: pages[i]!, hearing, counts: 'durable' });
      }),
    ),
  );
  return pages;
});
