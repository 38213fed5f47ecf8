/**
 * The measuring process' side of the load generator: starts it, gives it orders, and reads what the run cost each of
 * the three parties (server, PostgreSQL, generator) at the moments when the window opens and closes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Answer, LoadMode, LoadPage, Order, RunResult } from '../load/orders.ts';
import type { BenchDatabase } from './database.ts';
import { BenchError } from './must.ts';
import { familyCpu, pinTo, usageOf } from './processes.ts';
import { GENERATOR_CORE, type ServerProcess } from './server-process.ts';

export interface Cost {
  /** Cores in use, on average: CPU seconds a second. NaN where it cannot be known. */
  readonly server: number;
  readonly postgres: number;
  readonly generator: number;
  /** Share of the time that the main threads of server and generator waited for a core: the contention meter. */
  readonly serverWait: number;
  readonly generatorWait: number;
}

export interface Measured extends RunResult {
  readonly cost: Cost;
}

interface Sample {
  readonly at: number;
  readonly values: Record<keyof Cost, number>;
}

export class LoadGenerator {
  readonly #child: ChildProcess;
  readonly #servers: readonly ServerProcess[];
  readonly #database: BenchDatabase;
  #hear: (answer: Answer) => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor(servers: readonly ServerProcess[], database: BenchDatabase, pin: boolean) {
    this.#servers = servers;
    this.#database = database;
    this.#child = fork(new URL('../load/generator.js', import.meta.url), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    if (pin) pinTo(GENERATOR_CORE, this.#child.pid!);
    this.#child.on('message', (answer: Answer) => {
      if (answer.type === 'failed') this.#fail(new BenchError(`the generator failed: ${answer.reason}`));
      else this.#hear(answer);
    });
    this.#child.on('exit', (code) => this.#fail(new BenchError(`the generator ended with ${code}`)));
  } // prettier-ignore

  /** Gives an order; `hear` is told every answer up to the one of type `last`. */
  #order(order: Order, last: Answer['type'], hear: (answer: Answer) => void = () => {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#hear = (answer) => {
        hear(answer);
        if (answer.type === last) resolve(answer);
      };
      this.#child.send(order);
    });
  }

  async connect(pages: LoadPage[]): Promise<void> {
    await this.#order({ type: 'connect', pages }, 'connected');
  }

  async disconnect(): Promise<void> {
    await this.#order({ type: 'disconnect' }, 'disconnected');
  }

  #sample(): Sample {
    const servers = this.#servers.map(({ pid }) => usageOf(pid));
    const generator = usageOf(this.#child.pid!);
    const postgres = familyCpu(this.#database.postmasterPid);
    return {
      at: performance.now(),
      values: {
        server: servers.reduce((sum, { cpu }) => sum + cpu, 0),
        postgres,
        generator: generator.cpu,
        serverWait: Math.max(...servers.map(({ wait }) => wait)),
        generatorWait: generator.wait,
      },
    };
  }

  async run(mode: LoadMode, warmUpMs: number, measureMs: number): Promise<Measured> {
    let from: Sample | undefined;
    let to: Sample | undefined;
    const done = await this.#order({ type: 'run', mode, warmUpMs, measureMs }, 'done', ({ type }) => {
      if (type === 'measuring') from = this.#sample();
      else if (type === 'measured') to = this.#sample();
    });
    if (done.type !== 'done' || !from || !to) throw new BenchError('a run ends with its result');
    const seconds = (to.at - from.at) / 1000;
    const share = (key: keyof Cost) => (to!.values[key] - from!.values[key]) / seconds;
    const cost: Cost = {
      server: share('server'),
      postgres: share('postgres'),
      generator: share('generator'),
      serverWait: share('serverWait'),
      generatorWait: share('generatorWait'),
    };
    return { ...done.result, cost };
  }

  stop(): void {
    this.#fail = () => {};
    this.#child.disconnect();
  }
}
