/**
 * Octavo itself: as installed, with the rate limits raised, and in the mode that tells before the commit.
 */
import type { PageId } from '../../../src/protocol/ids.ts';
import { join, type Joined } from '../../lib/joiner.ts';
import { checkPages, makePage, preparePages, type PreparedPage } from '../../lib/load-pages.ts';
import { must } from '../../lib/must.ts';
import { type PagePlan, planPage } from '../../lib/pages.ts';
import { RAISED, startServer, type ServerProcess } from '../../lib/server-process.ts';
import type { OctavoPlan, Plan } from '../load/plan.ts';
import { ownVersions } from './packages.ts';
import type { PageCount, Peer, RunningPeer, StartContext } from './peer.ts';

const TEXTS_CHECKED = 5;
const DURABLE_MS = 60_000;
/** Told before the commit, more is queued than a page may have waiting by default. */
const LONG_QUEUES = { PAGE_QUEUE_MAX: '1000000', PAGE_QUEUE_BYTES_MAX: '1000000000' };

type Counts = OctavoPlan['counts'];

class RunningOctavo implements RunningPeer {
  readonly #server: ServerProcess;
  readonly #counts: Counts;
  #prepared: PreparedPage[] = [];
  #large: PagePlan | undefined;
  #token = '';
  #joined: Joined | undefined;

  constructor(server: ServerProcess, counts: Counts) {
    this.#server = server;
    this.#counts = counts;
  }

  get pid(): number {
    return this.#server.pid;
  }

  async plan({ pages, clientsEach, readers }: PageCount): Promise<Plan> {
    this.#prepared = await preparePages(pages, clientsEach, () => this.#server);
    return { protocol: 'octavo', pages: this.#prepared, counts: this.#counts, readers };
  }

  async check(_plan: Plan, typed: readonly (readonly number[])[]): Promise<void> {
    if (this.#counts === 'told') await this.#durable(typed);
    await checkPages(this.#server, this.#prepared, typed as number[][], TEXTS_CHECKED);
  }

  /** What was told before its commit is in the log a little later. */
  async #durable(typed: readonly (readonly number[])[]): Promise<void> {
    const token = await this.#server.token('reader');
    const until = performance.now() + DURABLE_MS;
    for (let i = 0; i < typed.length;) {
      const { page, head } = this.#prepared[i]!;
      const edits = typed[i]!.reduce((sum, one) => sum + one, 0);
      const seen = await join(this.#server.url, token, page as PageId);
      seen.socket.close();
      must(performance.now() < until, `all edits are durable within ${DURABLE_MS} ms`);
      if (seen.head < head + edits) await new Promise((resolve) => setTimeout(resolve, 20));
      else i++;
    }
  }

  async makeLarge(blocks: number, characters: number): Promise<void> {
    this.#large = planPage(blocks, characters);
    await makePage(this.#server, this.#large.page, this.#large.bodies);
    this.#token = await this.#server.token('reader');
  }

  async joinLarge(): Promise<number> {
    this.#joined = await join(this.#server.url, this.#token, this.#large!.page);
    this.#joined.socket.close();
    return this.#joined.ms;
  }

  checkLarge(): void {
    must(this.#joined!.table().size === this.#large!.blocks.length + 1, 'a new client has every block');
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    this.#server.kill();
  }
}

function octavo(counts: Counts, env: Readonly<Record<string, string>>) {
  return async ({ database, pin, octavo: server }: StartContext): Promise<RunningPeer> => {
    const options = { seconds: 0, rounds: 0, pin, server, profileDir: null, only: null };
    return new RunningOctavo(await startServer(options, database!.url, env), counts);
  };
}

const version = ownVersions()['octavo'];
const RAISED_TEXT = `limits raised: ${Object.keys(RAISED).join(', ')}`;
const both = { database: 'octavo', needsPackages: false, isVariant: false } as const;

export const octavoPeers: readonly Peer[] = [
  {
    ...both,
    name: 'octavo',
    about: `Octavo ${version} on PostgreSQL at its defaults; ${RAISED_TEXT}`,
    durable: 'before anyone sees it: each commit is flushed by PostgreSQL',
    start: octavo('durable', {}),
  },
  {
    ...both,
    name: 'octavo-before-commit',
    about: `Octavo ${version} with COMMIT_STALL_MS=0: people are told before the commit, marked so; ${RAISED_TEXT}, ${Object.keys(LONG_QUEUES).join(', ')}`,
    durable: 'some ms after it was seen, and those who see it are told when',
    start: octavo('told', { COMMIT_STALL_MS: '0', ...LONG_QUEUES }),
  },
];
