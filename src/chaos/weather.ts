/**
 * Plays the faults of a round on the cluster: each begins at its time, lasts, and heals. Healing may take longer than planned, for
 * a process has to start: what was to come after it comes after it all the same, and what the round has no time for is left out.
 */
import { sleep, systemClock } from '../base/time.ts';
import type { Cluster } from './cluster.ts';
import type { Failovers } from './failovers.ts';
import type { Fault, Round } from './plan.ts';

export interface WeatherReport {
  began(fault: Fault): void;
  healed(fault: Fault): void;
}

export class Weather {
  /** What is wrong now. */
  readonly active = new Set<Fault>();
  /** How often each kind of harm was done, by `kill node`, `pause postgres`, `link cut` … */
  readonly done = new Map<string, number>();
  readonly #cluster: Cluster;
  readonly #failovers: Failovers;
  readonly #report: WeatherReport;

  constructor(cluster: Cluster, failovers: Failovers, report: WeatherReport) {
    this.#cluster = cluster;
    this.#failovers = failovers;
    this.#report = report;
  }

  /** Resolves when all faults of the round have healed, and not before its time. */
  async play({ faults, lengthMs }: Round): Promise<void> {
    const startedAt = systemClock.monotonic();
    const sinceStart = () => systemClock.monotonic() - startedAt;
    const playing: { readonly fault: Fault; readonly done: Promise<void> }[] = [];
    for (const fault of faults) {
      const before = playing.filter((earlier) => isOver(earlier.fault, fault));
      const afterThose = before.map(async (earlier) => {
        await earlier.done;
        const restMs = Math.max(0, lengthMs - sinceStart());
        await sleep(Math.min(restMs, Math.max(0, fault.atMs - endOf(earlier.fault))));
      });
      const done = (async () => {
        await Promise.all([sleep(fault.atMs), ...afterThose]);
        if (sinceStart() < lengthMs) await this.#play(fault);
      })();
      playing.push({ fault, done });
    }
    await Promise.all(playing.map(({ done }) => done));
    await sleep(Math.max(0, lengthMs - sinceStart()));
  }

  async #play(fault: Fault): Promise<void> {
    const kind = fault.harm.kind === 'link' ? `link ${fault.harm.state.kind}` : `${fault.harm.kind} ${fault.target.replace(/ \d+$/, '')}`; // prettier-ignore
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
    this.#failovers.disturbed();
    this.#report.began(fault);
    this.active.add(fault);
    const heal = await this.#harm(fault);
    await sleep(fault.forMs);
    await heal();
    this.active.delete(fault);
    this.#report.healed(fault);
  }

  /** Does it, and gives what undoes it. */
  async #harm({ harm, target }: Fault): Promise<() => Promise<void> | void> {
    const each = this.#cluster.processes.get(target);
    const node = this.#cluster.nodes.find(({ name }) => name === target);
    switch (harm.kind) {
      case 'kill': {
        const clients = node ? await this.#cluster.clientsOf(node) : [];
        // Asked now: another fault may have begun meanwhile.
        if (this.active.size === 1) this.#failovers.killed(clients);
        await each!.kill();
        return () => each!.start();
      }
      case 'restart':
        await node!.stop();
        return () => node!.start();
      case 'pause':
        await each!.signal('SIGSTOP');
        return () => each!.signal('SIGCONT');
      case 'shard':
        node!.tell({ endShard: harm.shard });
        return () => {};
      case 'skew':
        node!.tell({ skewMs: harm.byMs });
        return () => node!.tell({ skewMs: 0 });
      case 'link':
        await this.#cluster.network.set(target, harm.state);
        return () => this.#cluster.network.heal(target);
    }
  }
}

const endOf = ({ atMs, forMs }: Fault): number => atMs + forMs;

/** Whether the plan has `earlier` over when `later` begins; of one target it always has. */
const isOver = (earlier: Fault, later: Fault): boolean =>
  endOf(earlier) <= later.atMs || earlier.target === later.target;
