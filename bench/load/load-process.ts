/**
 * The load generator's side of the channel: takes orders from the measuring process, holds the clients that `open` makes
 * of a plan (one list a page, by slot), and runs loads with them. A failed check ends the process.
 */
import { type Hearing, Run, type Typist } from './load-run.ts';
import type { Answer, Order } from './orders.ts';

const SETTLED_MS = 200;

const answer = (message: Answer) => process.send!(message);

export type OpenPages<Plan> = (plan: Plan, hearing: Hearing) => Promise<Typist[][]>;

/** Opens clients a few at a time: `opens` are started in order. */
export async function openInTurn(opens: readonly (() => Promise<unknown>)[]): Promise<void> {
  const atOnce = 20;
  for (let at = 0; at < opens.length; at += atOnce) {
    await Promise.all(opens.slice(at, at + atOnce).map((open) => open()));
  }
}

export function obeyOrders<Plan>(open: OpenPages<Plan>): void {
  let pages: Typist[][] = [];
  let run: Run | undefined;
  const hearing: Hearing = {
    own: (client) => run?.own(client),
    fromPrevious: (dueAt) => run?.fromPrevious(dueAt),
  };

  async function obey(order: Order<Plan>): Promise<void> {
    switch (order.type) {
      case 'connect':
        pages = await open(order.plan, hearing);
        // The pages' past may still be under way.
        await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
        for (const client of pages.flat()) client.listen();
        return void answer({ type: 'connected' });
      case 'run': {
        const slots = Math.min(pages[0]!.length, order.typistsEach ?? Infinity);
        // Slot by slot, so that edits due one after another go to different pages.
        const clients = Array.from({ length: slots }, (_, slot) => pages.map((page) => page[slot]!)).flat();
        run = new Run(order.mode, clients, pages.flat());
        const result = await run.execute(order.warmUpMs, order.measureMs);
        for (const client of pages.flat()) client.verify?.();
        const typed = pages.map((page) => page.map((client) => client.typed));
        return void answer({ type: 'done', result: { ...result, typed } });
      }
      case 'disconnect':
        for (const client of pages.flat()) client.close();
        pages = [];
        return void answer({ type: 'disconnected' });
    }
  } // prettier-ignore

  function failed(error: unknown): void {
    answer({ type: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    setTimeout(() => process.exit(1), 100);
  } // prettier-ignore

  process.on('uncaughtException', failed);
  process.on('message', (order: Order<Plan>) => void obey(order).catch(failed));
  process.on('disconnect', () => process.exit(0));
}
