/**
 * The measuring process' side of the load generator: starts it, gives it orders, and reads what the run cost each of
 * the three parties (server, PostgreSQL, generator) at the moments when the window opens and closes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Answer, LoadMode, LoadPage, Order, RunOrder, RunResult } from '../load/orders.ts';
import { BenchError } from './must.ts';
import { cpuByProcess, familyCpu, familyOf, pinTo, type Usage, usageOf } from './processes.ts';
import { GENERATOR_CORE } from './server-process.ts';

export interface Cost {
  /** Cores in use, on average: CPU seconds a second. NaN where it cannot be known. */
  readonly server: number;
  readonly postgres: number;
  readonly generator: number;
  /** Share of the time that the main threads of server and generator waited for a core: the contention meter. */
  readonly serverWait: number;
  readonly generatorWait: number;
  /** What the servers used beside their main threads, and what processes used that are none of the three parties. */
  readonly serverRest: number;
  readonly others: number;
}

export interface Measured extends RunResult {
  readonly cost: Cost;
}

interface Sample {
  readonly at: number;
  readonly values: Record<Exclude<keyof Cost, 'others'>, number>;
  /** CPU seconds by process id, of all that are none of the three parties. */
  readonly others: ReadonlyMap<number, number>;
}

interface Database {
  readonly postmasterPid: number | null;
}

/** CPU seconds that the processes of `to` used since `from`. */
function grown(from: ReadonlyMap<number, number>, to: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const [pid, cpu] of to) sum += Math.max(0, cpu - (from.get(pid) ?? 0));
  return sum;
}

const OCTAVO_CLIENTS = new URL('../load/generator.js', import.meta.url);

export class LoadGenerator<Plan = readonly LoadPage[]> {
  readonly #child: ChildProcess;
  readonly #servers: readonly { readonly pid: number }[];
  readonly #database: Database | null;
  #hear: (answer: Answer) => void = () => {};
  #fail: (error: Error) => void = () => {};

  /** `program` makes clients of what `Plan` says. */
  constructor(servers: readonly { readonly pid: number }[], database: Database | null, pin: boolean, program: URL = OCTAVO_CLIENTS) {
    this.#servers = servers;
    this.#database = database;
    this.#child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    if (pin) pinTo(GENERATOR_CORE, this.#child.pid!);
    this.#child.on('message', (answer: Answer) => {
      if (answer.type === 'failed') this.#fail(new BenchError(`the generator failed: ${answer.reason}`));
      else this.#hear(answer);
    });
    this.#child.on('exit', (code) => this.#fail(new BenchError(`the generator ended with ${code}`)));
  } // prettier-ignore

  /** Gives an order; `hear` is told every answer up to the one of type `last`. */
  #order(
    order: Order<Plan>,
    last: Answer['type'],
    hear: (answer: Answer) => void = () => {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#hear = (answer) => {
        hear(answer);
        if (answer.type === last) resolve(answer);
      };
      this.#child.send(order);
    });
  }

  async connect(plan: Plan): Promise<void> {
    await this.#order({ type: 'connect', plan }, 'connected');
  }

  async disconnect(): Promise<void> {
    await this.#order({ type: 'disconnect' }, 'disconnected');
  }

  #sample(): Sample {
    const servers = this.#servers.map(({ pid }) => usageOf(pid));
    const generator = usageOf(this.#child.pid!);
    const postmaster = this.#database?.postmasterPid ?? null;
    const parties = new Set([process.pid, this.#child.pid!, ...this.#servers.map(({ pid }) => pid), ...familyOf(postmaster)]);
    const sum = (of: (usage: Usage) => number) => servers.reduce((total, usage) => total + of(usage), 0);
    return {
      at: performance.now(),
      values: {
        server: sum(({ cpu }) => cpu),
        postgres: this.#database ? familyCpu(postmaster) : 0,
        generator: generator.cpu,
        serverWait: Math.max(...servers.map(({ wait }) => wait)),
        generatorWait: generator.wait,
        serverRest: sum(({ cpu, main }) => cpu - main),
      },
      others: new Map([...cpuByProcess()].filter(([pid]) => !parties.has(pid))),
    };
  } // prettier-ignore

  /** `typistsEach`: only the first so many clients of each page type. */
  async run(mode: LoadMode, warmUpMs: number, measureMs: number, typistsEach?: number): Promise<Measured> {
    let from: Sample | undefined;
    let to: Sample | undefined;
    const order: RunOrder = { type: 'run', mode, warmUpMs, measureMs, ...(typistsEach === undefined ? {} : { typistsEach }) };
    const done = await this.#order(order, 'done', ({ type }) => {
      if (type === 'measuring') from = this.#sample();
      else if (type === 'measured') to = this.#sample();
    });
    if (done.type !== 'done' || !from || !to) throw new BenchError('a run ends with its result');
    const seconds = (to.at - from.at) / 1000;
    const share = (key: keyof Sample['values']) => (to!.values[key] - from!.values[key]) / seconds;
    const cost: Cost = {
      server: share('server'),
      postgres: share('postgres'),
      generator: share('generator'),
      serverWait: share('serverWait'),
      generatorWait: share('generatorWait'),
      serverRest: share('serverRest'),
      others: grown(from.others, to.others) / seconds,
    };
    return { ...done.result, cost };
  } // prettier-ignore

  stop(): void {
    this.#fail = () => {};
    if (this.#child.connected) this.#child.disconnect();
  }
}
