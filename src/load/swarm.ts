/**
 * The clients of one thread and what they do together: connect a few at a time, make edits as they are due (open loop) or as
 * soon as one is durable (closed loop), show presence, and storm: leave and come back all at once.
 */
import type { MessagePort } from 'node:worker_threads';
import { type Random, randomFloat, seededRandom } from '../base/random.ts';
import { type Millis, sleep, systemClock, threadOffsetMs } from '../base/time.ts';
import type { Author } from './author.ts';
import { Builder } from './builder.ts';
import { LoadClient, type Surroundings } from './client.ts';
import { LoadError } from './load-error.ts';
import type { Behaviour, ClientPlan, ThreadPlan, WriterEnd } from './orders.ts';
import { Schedule } from './schedule.ts';
import { Moments } from './shared.ts';
import { Tallies } from './tallies.ts';
import { TracePlayer } from './trace.ts';
import { Typist } from './typist.ts';

const CONNECTS_AT_ONCE = 25;
const POLL_MS = 10;
/** In a mixed load one author in so many builds, the others type. */
const BUILDERS_EVERY = 5;

export class Swarm {
  readonly tallies = new Tallies();
  readonly clients: readonly LoadClient[];
  readonly #behaviour: Behaviour;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #now: () => Millis;
  #measureFrom = Infinity;
  #measureTo = Infinity;
  #editing = false;

  constructor(plan: ThreadPlan, ticks: MessagePort) {
    const offset = threadOffsetMs();
    this.#now = () => systemClock.monotonic() + offset;
    this.#behaviour = plan.behaviour;
    this.#random = seededRandom(plan.seed);
    this.#schedule = new Schedule(plan.pace, plan.thread, ticks, this.#now);
    const world: Surroundings = {
      url: new URL(plan.url),
      run: plan.run,
      random: this.#random,
      tallies: this.tallies,
      edits: Moments.edits(plan.moments),
      presence: Moments.presence(plan.moments),
      slowBytesPerSecond: plan.behaviour.slowBytesPerSecond,
      now: this.#now,
      isMeasured: (dueAt) => dueAt >= this.#measureFrom && dueAt < this.#measureTo,
      acknowledged: (client) => {
        if (this.#editing && 'inFlight' in this.#behaviour.pace) client.edit(this.#now());
      },
    };
    this.clients = plan.clients.map((client) => {
      const page = plan.pages[client.page]!;
      return new LoadClient(client, page, this.#author(client, page.id), world);
    });
  }

  #author({ kind, number }: ClientPlan, page: string): Author | null {
    const { edits, trace } = this.#behaviour;
    if (kind !== 'writer' || edits === 'none') return null;
    // Of its own, so that what one writes does not depend on how fast the others are.
    const random = seededRandom(this.#random.uint32() ^ number);
    const builds = edits === 'blocks' || (edits === 'mixed' && number % BUILDERS_EVERY === BUILDERS_EVERY - 1);
    if (builds) return new Builder(page, random, systemClock.now);
    return trace ? new TracePlayer(page, trace, random, systemClock.now) : new Typist(page, random, systemClock.now);
  } // prettier-ignore

  /** Every client opens its page. Throws when one is refused for good. */
  async connect(progress: (connected: number) => void): Promise<void> {
    for (let at = 0; at < this.clients.length; at += CONNECTS_AT_ONCE) {
      const some = this.clients.slice(at, at + CONNECTS_AT_ONCE);
      await Promise.all(some.map((client) => client.join(this.#now(), true)));
      for (const { stoppedBy, silencedBy } of some) {
        const why = stoppedBy ?? silencedBy;
        if (why !== null) throw new LoadError(why);
      }
      progress(at + some.length);
    }
  }

  start(measureFrom: Millis, measureTo: Millis): void {
    this.#measureFrom = measureFrom;
    this.#measureTo = measureTo;
    this.#editing = true;
    this.#schedulePresence();
    this.#scheduleStorm();
    const { pace } = this.#behaviour;
    const writers = this.clients.filter(({ author }) => author !== null);
    if ('scale' in pace) for (const writer of writers) this.#scheduleEdits(writer, pace.scale);
    this.#schedule.begin();
    if ('scale' in pace) return;
    for (const writer of writers) for (let i = 0; i < pace.inFlight; i++) writer.edit(this.#now());
  }

  #scheduleEdits(writer: LoadClient, scale: number): void {
    const author = writer.author!;
    // Anywhere between two keys: people do not begin together.
    this.#schedule.add(this.#now() + scale * author.pauseMs() * randomFloat(this.#random), (dueAt) => {
      writer.edit(dueAt);
      return dueAt + scale * author.pauseMs();
    });
  }

  #schedulePresence(): void {
    const { presence } = this.#behaviour;
    if (presence === 0) return;
    const everyMs = 1000 / presence;
    for (const client of this.clients) {
      if (client.plan.kind === 'slow') continue;
      this.#schedule.add(this.#now() + everyMs * randomFloat(this.#random), (dueAt) => {
        client.showPresence(dueAt);
        return dueAt + everyMs;
      });
    }
  }

  #scheduleStorm(): void {
    const { storm, everyMs, joinRate } = this.#behaviour;
    if (storm === 'none') return;
    const readers = this.clients.filter(({ plan }) => plan.kind === 'reader');
    const begin = this.#now();
    if (storm === 'churn') {
      for (const client of readers) {
        const next = (from: Millis) => from - everyMs * Math.log(1 - randomFloat(this.#random));
        this.#schedule.add(next(begin), (dueAt) => (this.#comeAgain(client, dueAt, true), next(dueAt)));
      }
    } else if (storm === 'join' && joinRate !== null) this.#scheduleArrivals(readers, joinRate);
    else {
      const all = storm === 'join' ? readers : this.clients.filter(({ plan }) => plan.kind !== 'slow');
      // In a warm-up there is one too.
      this.#schedule.add(begin, (dueAt) => {
        for (const client of all) this.#storm(client, dueAt, storm === 'join');
        return dueAt + everyMs;
      });
    }
  }

  /** People come at a rate, one after another; who has waited longest since its last visit is the next. */
  #scheduleArrivals(readers: readonly LoadClient[], rate: number): void {
    const next = (from: Millis) => from - (1000 / rate) * Math.log(1 - randomFloat(this.#random));
    let turn = 0;
    this.#schedule.add(next(this.#now()), (dueAt) => {
      const client = readers[turn++ % readers.length]!;
      if (client.state === 'joining') {
        if (dueAt >= this.#measureFrom && dueAt < this.#measureTo) this.tallies.counts.unsent++;
      } else this.#comeAgain(client, dueAt, true);
      return next(dueAt);
    });
  }

  #storm(client: LoadClient, dueAt: Millis, fresh: boolean): void {
    // Who has not come in since the last time is still counted from then.
    if (client.state === 'joining') return;
    if (fresh) return this.#comeAgain(client, dueAt, true);
    client.leave();
    const at = dueAt + this.#behaviour.spreadMs * randomFloat(this.#random);
    this.#schedule.add(at, (when) => (this.#comeAgain(client, when, false), Infinity));
    this.tallies.counts.reconnects++;
  }

  #comeAgain(client: LoadClient, dueAt: Millis, fresh: boolean): void {
    if (client.state !== 'stopped') void client.join(dueAt, fresh);
  }

  get live(): number {
    return this.clients.filter(({ state }) => state === 'live').length;
  }

  get pending(): number {
    return this.clients.reduce(
      (sum, { outbox, silencedBy }) => sum + (silencedBy === null ? outbox.pending : 0),
      0,
    );
  }

  /** No more edits; waits for the answers to those that were made. */
  async settle(patienceMs: Millis): Promise<{ writers: WriterEnd[]; joining: number }> {
    this.#editing = false;
    this.#measureTo = Math.min(this.#measureTo, this.#now());
    this.#schedule.stop();
    for (const client of this.clients) if (client.state === 'away') void client.join(this.#now());
    const joining = () => this.clients.filter(({ state, plan }) => state === 'joining' && plan.kind !== 'slow').length;
    for (const until = this.#now() + patienceMs; this.#now() < until && (this.pending > 0 || joining() > 0); ) await sleep(POLL_MS);
    const writers = this.clients.flatMap(({ plan: { number, page }, author, outbox, silencedBy, stoppedBy }) =>
      author ? [{ number, page, made: outbox.made, acknowledged: outbox.acknowledged, silencedBy: silencedBy ?? stoppedBy, expected: author.expected() }] : [],
    );
    return { writers, joining: joining() };
  } // prettier-ignore

  /** Who has not come to the end of its page's log. */
  async look(heads: readonly number[], patienceMs: Millis): Promise<{ behind: number; findings: string[] }> {
    const behind = () => this.clients.filter(({ plan, state, seq }) => plan.kind !== 'slow' && state === 'live' && seq < heads[plan.page]!); // prettier-ignore
    for (const until = this.#now() + patienceMs; this.#now() < until && behind().length > 0; ) await sleep(POLL_MS); // prettier-ignore
    const late = behind();
    const findings = late.slice(0, 3).map(({ plan, seq }) => `client ${plan.number} stands at ${seq} of ${heads[plan.page]}`); // prettier-ignore
    return { behind: late.length, findings };
  }

  end(): void {
    for (const client of this.clients) client.leave();
  }
}
