/**
 * A run: starts a cluster of its own, lets people write while the faults of the plan are played on it, and after each round
 * waits until all agree and passes the verdict. Nothing stays of a run that went well; of one that did not, its files.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { type Random, seededRandom, systemRandom } from '../base/random.ts';
import { type Millis, systemClock } from '../base/time.ts';
import { newId, type PageId } from '../protocol/ids.ts';
import { awaitAgreement, gather, type Pages } from './agreement.ts';
import { Cluster } from './cluster.ts';
import { Failovers } from './failovers.ts';
import { judge, type Verdict } from './judge.ts';
import { Person, Writing } from './person.ts';
import { describeFault, drawPlan, type Round, type Shape } from './plan.ts';
import type { Progress } from './progress.ts';
import { type ChaosResult, hasSucceeded, isGood, sumOf } from './result.ts';
import { Weather } from './weather.ts';

export interface ChaosOptions extends Omit<Shape, 'redis'> {
  readonly seed: number;
  readonly pages: number;
  /** Changes a second, of all clients together. */
  readonly rate: number;
  /** How long all may take to agree at the end of a round. */
  readonly patienceMs: Millis;
  /** The program; null: without Redis. */
  readonly redis: string | null;
  /** Where programs are looked for. */
  readonly path: string;
  /** Variables of the nodes. */
  readonly settings: Readonly<Record<string, string>>;
  /** The command that repeats this run. */
  readonly command: string;
}

const TOKEN_SECONDS = 86_400;

export class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #progress: Progress;
  readonly #plan: Round[];
  readonly #startedAt = systemClock.monotonic();
  readonly #failovers = new Failovers();
  readonly #verdicts: Verdict[] = [];
  readonly #agreeMs: (Millis | null)[] = [];
  readonly #refused = new Map<string, number>();
  readonly #ended: string[] = [];
  /** The pages of earlier rounds, and how long their logs were. */
  readonly #before: { readonly page: PageId; readonly length: number }[] = [];
  #people: Person[] = [];
  #acknowledged = 0;
  #dir = '';
  #cluster: Cluster | null = null;
  #weather: Weather | null = null;
  #settingUp: Promise<void> | null = null;
  #aborted = false;

  constructor(options: ChaosOptions, progress: Progress) {
    this.#options = options;
    this.#progress = progress;
    this.#plan = drawPlan(options.seed, { ...options, redis: options.redis !== null });
  }

  /** Plays it to its end. Throws when it could not be played; files stay then, as after a verdict that is not good. */
  async play(): Promise<ChaosResult> {
    let result: ChaosResult | null = null;
    try {
      this.#settingUp = this.#setUp();
      await this.#settingUp;
      for (const [i, round] of this.#plan.entries()) await this.#round(i + 1, round);
      await this.#lookBack();
      result = this.#result();
      return result;
    } finally {
      this.#progress.end();
      await this.#tearDown();
      if (result && hasSucceeded(result)) await this.#remove();
      else await this.#keep(result);
    }
  }

  /** Ends it before its time, and leaves nothing of it; what `play` does then is of no interest. */
  async abort(): Promise<void> {
    this.#aborted = true;
    this.#progress.end();
    await this.#settingUp?.catch(() => {});
    await this.#tearDown();
    await this.#remove();
  }

  /** For a process that is about to end, whatever the reason. */
  killNow(): void {
    this.#cluster?.killNow();
  }

  async #remove(): Promise<void> {
    if (this.#dir !== '')
      await rm(this.#dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  async #keep(result: ChaosResult | null): Promise<void> {
    if (this.#aborted || this.#dir === '') return;
    const plan = this.#plan.flatMap(({ faults }, i) => faults.map((fault) => `round ${i + 1}, ${fault.atMs} ms: ${describeFault(fault)}`)); // prettier-ignore
    await writeFile(join(this.#dir, 'plan.txt'), `${plan.join('\n')}\n`);
    await writeFile(join(this.#dir, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
    this.#progress.say(`logs, plan, findings and the database’s files are kept in ${this.#dir}`);
  }

  async #setUp(): Promise<void> {
    this.#dir = await mkdtemp(join(tmpdir(), 'octavo-chaos-'));
    const { path, nodes, shards, clients, redis, seed, settings } = this.#options;
    const secret = Buffer.from(systemRandom.bytes(32)).toString('hex');
    const ended = (how: string) => {
      this.#ended.push(how);
      this.#progress.say(how);
    };
    this.#cluster = new Cluster({ dir: this.#dir, path, nodes, shards, clients, redis, settings, secret, ended });
    await this.#cluster.start((what) => this.#progress.say(what));
    this.#weather = new Weather(this.#cluster, this.#failovers, {
      began: (fault) => this.#progress.began(fault),
      healed: () => {},
    });
    for (let i = 0; i < clients; i++) this.#people.push(await this.#makePerson(i, secret, seededRandom(seed + i + 1)));
  } // prettier-ignore

  async #makePerson(i: number, secret: string, random: Random): Promise<Person> {
    const now = Math.floor(systemClock.now() / 1000);
    const token = await new SignJWT({ name: `client ${i + 1}`, grants: [{ workspace: 'default', role: 'editor' }] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(`client-${i + 1}`)
      .setIssuedAt(now - 3600)
      .setExpirationTime(now + TOKEN_SECONDS)
      .sign(new TextEncoder().encode(secret));
    const port = this.#cluster!.clientPorts[i]!;
    return new Person(`client ${i + 1}`, `ws://127.0.0.1:${port}/v1/sync`, token, random, {
      acknowledged: () => {
        this.#acknowledged++;
        const lateMs = this.#failovers.acknowledged(i);
        if (lateMs !== null) this.#progress.say(`client ${i + 1} hears from another node ${lateMs} ms after the kill`);
      },
      online: (isOnline) => !isOnline && this.#failovers.offline(i),
      refused: (code) => void this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1),
    });
  } // prettier-ignore

  async #round(number: number, round: Round): Promise<void> {
    const weather = this.#weather!;
    const ids = Array.from({ length: this.#options.pages }, () => newId<PageId>(systemClock.now(), systemRandom));
    await Promise.all(this.#people.map((person) => person.open(ids)));
    this.#progress.follow(() => ({
      round: number,
      rounds: this.#plan.length,
      made: this.#made,
      acknowledged: this.#acknowledged,
      pending: this.#people.reduce((sum, { pending }) => sum + pending, 0),
      active: weather.active,
    }));
    const writing = new Writing(this.#people, this.#options.rate);
    await weather.play(round);
    writing.stop();
    this.#failovers.disturbed();
    const pages: Pages = { ids, people: this.#people, postgres: this.#cluster!.postgres };
    const { agreeMs, why } = await awaitAgreement(pages, this.#options.patienceMs);
    const evidence = await gather(pages);
    const verdict = sumOf(evidence.map(judge));
    this.#agreeMs.push(agreeMs);
    this.#verdicts.push(why === null ? verdict : { ...verdict, findings: [...why, ...verdict.findings] });
    this.#before.push(...evidence.map(({ page, log }) => ({ page, length: log.length })));
    this.#progress.say(
      `round ${number}: ${verdict.acknowledged} acknowledged, ${isGood(verdict) ? 'nothing lost' : 'NOT GOOD'}, ` +
        (agreeMs === null ? 'no agreement' : `all agree after ${agreeMs} ms`),
    );
  } // prettier-ignore

  /** What was in the logs of earlier rounds is there still. */
  async #lookBack(): Promise<void> {
    const rows = await this.#cluster!.postgres.query<{ page_id: PageId; length: string }>(
      'select page_id, count(*) as length from changes group by page_id',
    );
    const now = new Map(rows.map(({ page_id, length }) => [page_id, Number(length)]));
    const short = this.#before.filter(({ page, length }) => (now.get(page) ?? 0) < length);
    const lost = short.reduce((sum, { page, length }) => sum + length - (now.get(page) ?? 0), 0);
    const findings = short.map(({ page, length }) => `lost: page ${page} had ${length} changes, and has ${now.get(page) ?? 0}`); // prettier-ignore
    this.#verdicts.push({ ...sumOf([]), lost, findings });
  }

  get #made(): number {
    return this.#people.reduce((sum, { made }) => sum + made, 0);
  }

  #result(): ChaosResult {
    const { seed, command } = this.#options;
    const done = this.#weather!.done;
    const sum = sumOf(this.#verdicts);
    const result: ChaosResult = {
      seed,
      command,
      ...sum,
      made: this.#made,
      agreeMs: this.#agreeMs.includes(null) ? null : Math.max(...(this.#agreeMs as Millis[])),
      agreeMsByRound: this.#agreeMs,
      failoverMs: { p50: this.#failovers.quantile(0.5), p95: this.#failovers.quantile(0.95), samples: this.#failovers.samples.length },
      nodeKills: done.get('kill node') ?? 0,
      faults: Object.fromEntries([...done].sort()),
      refused: Object.fromEntries(this.#refused),
      unexpectedEnds: this.#ended,
      seconds: Math.round((systemClock.monotonic() - this.#startedAt) / 1000),
      evidence: null,
    };
    return hasSucceeded(result) ? result : { ...result, evidence: this.#dir };
  } // prettier-ignore

  async #tearDown(): Promise<void> {
    await Promise.all(this.#people.map((person) => person.close()));
    await this.#cluster?.dispose();
  }
}
