/**
 * An actor that breaks, in a shard over the store's twin: it dies alone, its clients are told and come back, nothing is
 * lost or doubled, and answers meant for it reach nobody else. A damaged page is left alone between tries.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { entry } from '../../test/support/actor-world.ts';
import { EPOCH, replicaId, ROOT, userId, uuid } from '../../test/support/pages.ts';
import { PageActor } from '../actors/page-actor.ts';
import type { PageMessage } from '../actors/world.ts';
import { AssertionError } from '../base/assert.ts';
import type { Log } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { sleep, type Clock } from '../base/time.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { encodeOps, type Op } from '../document/ops.ts';
import { MemoryDatabase, MemoryLogStore } from '../persistence/memory-log-store.ts';
import { StoreError } from '../persistence/store-error.ts';
import { decodeServerMessage, isMalformed } from '../protocol/decode.ts';
import { encodeClientMessage } from '../protocol/encode.ts';
import { type PageId, seq } from '../protocol/ids.ts';
import { defaultLimits } from '../protocol/limits.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import { EnvelopeWriter, FROM_SHARD, readEnvelope, TO_SHARD } from './envelope.ts';
import { writeSubscribeHead } from './records.ts';
import { Shard } from './shard.ts';

const [A, B] = [uuid<PageId>(0), uuid<PageId>(1)];

/** A store whose calls can be held up. */
class GatedStore extends MemoryLogStore {
  readonly opened: PageId[] = [];
  #held = new Map<string, Promise<void>>();

  /** Holds up calls of this name from now on; the returned function lets them go. */
  hold(call: 'openPage' | 'append' | 'saveSnapshot'): () => void {
    let release = () => {};
    this.#held.set(call, new Promise<void>((resolve) => (release = resolve)));
    return () => {
      this.#held.delete(call);
      release();
    };
  }
  override async openPage(...args: Parameters<MemoryLogStore['openPage']>) {
    this.opened.push(args[0]);
    await this.#held.get('openPage');
    return super.openPage(...args);
  }
  override async append(...args: Parameters<MemoryLogStore['append']>) {
    await this.#held.get('append');
    return super.append(...args);
  }
  override async saveSnapshot(...args: Parameters<MemoryLogStore['saveSnapshot']>) {
    await this.#held.get('saveSnapshot');
    return super.saveSnapshot(...args);
  }
}

class ManualClock implements Clock {
  at = 1_000_000;
  #timers: { at: number; run: () => void }[] = [];
  now = () => this.at;
  monotonic = () => this.at;
  after(delayMs: number, run: () => void) {
    const timer = { at: this.at + delayMs, run };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) };
  }
  advance(ms: number): void {
    this.at += ms;
    const due = this.#timers.filter(({ at }) => at <= this.at);
    this.#timers = this.#timers.filter(({ at }) => at > this.at);
    for (const { run } of due) run();
  }
}

let database: MemoryDatabase;
let store: GatedStore;
let clock: ManualClock;
let shard: Shard;
let heard: { connection: number; message: ServerMessage }[];
let published: { page: string; message: ServerMessage }[];
let logged: { fields: Record<string, unknown>; message: string }[];
/** Which actor got which message. */
let received: { actor: PageActor; type: string }[];
let nextCh = 1;

const read = (bytes: Uint8Array): ServerMessage => {
  const message = decodeServerMessage(bytes);
  if (isMalformed(message)) throw new Error(message.malformed);
  return message;
};

beforeEach(async () => {
  [heard, published, logged, received] = [[], [], [], []];
  database = new MemoryDatabase();
  store = new GatedStore(database);
  clock = new ManualClock();
  // Its own, as all of these: the shard of the test before may still have something to say.
  const lines = logged;
  const note = (fields: object, message: string) => void lines.push({ fields: fields as never, message });
  const log: Log = { debug() {}, info() {}, warn: note, error: note };
  const receive = PageActor.prototype.receive;
  vi.spyOn(PageActor.prototype, 'receive').mockImplementation(function (this: PageActor, message: PageMessage) {
    received.push({ actor: this, type: message.type });
    return receive.call(this, message);
  });
  shard = new Shard({
    store, clock, log, random: seededRandom(1), limits: defaultLimits, evictIdleMs: 60_000, memoryBytesMax: 1 << 26,
    commitStallMs: 60_000, headPollMs: 0, openBus: null,
    emit: (batch) =>
      readEnvelope(batch, (type, connection, bytes) => {
        if (type === FROM_SHARD.send || type === FROM_SHARD.bulk) heard.push({ connection, message: read(bytes) });
        if (type === FROM_SHARD.publish) published.push({ page: String(bytes[15]), message: read(bytes.subarray(16)) });
      }),
  });
}); // prettier-ignore

afterEach(async () => {
  vi.restoreAllMocks();
  await shard.drain(0);
});

function post(type: number, connection: number, bytes: Uint8Array): void {
  const out = new EnvelopeWriter();
  out.add(type, connection, bytes);
  shard.receive(out.take());
}

/** SUBSCRIBE under a fresh ch, which it returns. */
function subscribe(connection: number, page: PageId): number {
  const ch = nextCh++;
  const frame = encodeClientMessage({
    kind: 'subscribe',
    ch,
    page,
    since: null,
    epoch: null,
    create: 'blocks',
  });
  const head = {
    user: userId(`user${connection}`),
    role: 'editor',
    replica: replicaId(connection),
    frame,
  } as const;
  post(TO_SHARD.subscribe, connection, writeSubscribeHead(head));
  return ch;
}

function change(connection: number, ch: number, n: number, title = `${connection}.${n}`): void {
  const ops = encodeOps([{ op: 'update', block: ROOT, props: { title }, type: null }]);
  const hlc = { ms: clock.at, counter: n };
  post(TO_SHARD.frame, connection, encodeClientMessage({ kind: 'change', ch, n, hlc, ops, replica: null }));
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const started = performance.now(); !condition(); await sleep(1)) {
    if (performance.now() - started > 20_000) throw new Error(`waited in vain for ${what}`);
  }
}

const of = <K extends ServerMessage['kind']>(connection: number, kind: K) =>
  heard.flatMap(({ connection: to, message }) =>
    to === connection && message.kind === kind ? [message as Extract<ServerMessage, { kind: K }>] : [],
  );

async function join(connection: number, page: PageId): Promise<number> {
  const before = of(connection, 'subscribed').length;
  const ch = subscribe(connection, page);
  await until(() => of(connection, 'subscribed').length > before, 'SUBSCRIBED');
  return ch;
}

const logOf = async (page: PageId) =>
  (await store.readLog(page, seq(0), 1000, 1 << 30)).map(
    ({ replica, n }) => `${Number.parseInt(replica.slice(-6), 16)}.${n}`,
  );
const actors = () => [...new Set(received.map(({ actor }) => actor))];
/** Makes the next change with this title break what it meets. */
function breakOn(method: 'admit' | 'apply', title: string, error: Error = new AssertionError('planted')): void {
  const original = BlocksModel.prototype[method] as (ops: Op[], ...rest: unknown[]) => unknown;
  let armed = true;
  vi.spyOn(BlocksModel.prototype, method).mockImplementation(function (this: BlocksModel, ops: Op[], ...rest: unknown[]) {
    const hit = armed && ops.some((op) => op.op === 'update' && op.props.some(({ value }) => value === title));
    if (!hit) return original.call(this, ops, ...rest) as never;
    armed = false;
    throw error;
  });
} // prettier-ignore

describe('an actor whose invariant breaks', () => {
  test.each([
    ['while it takes a change in', 'admit', new AssertionError('planted')],
    ['while it applies what is committed', 'apply', new TypeError('planted')],
  ] as const)('A65 dies alone %s; what was queued comes back by resending, exactly once', async (_, method, error) => {
    const [ch, other] = [await join(1, A), await join(2, B)];
    breakOn(method, '1.3', error);
    for (let n = 1; n <= 5; n++) change(1, ch, n);
    change(2, other, 1);
    await until(() => of(1, 'error').length === 1, 'word of the end');
    expect(of(1, 'error')[0]).toMatchObject({ code: 'unavailable', ch, retryAfterMs: 250 });
    expect(logged.map(({ fields }) => fields)).toEqual([expect.objectContaining({ page: A, error: expect.stringContaining('planted'), retryMs: 250 })]);
    // The page mate in the same shard noticed nothing.
    await until(() => published.some(({ message }) => message.kind === 'changes' && message.changes[0]!.replica === replicaId(2)), 'the other page');
    expect(of(2, 'error')).toEqual([]);

    clock.advance(250);
    const again = await join(1, A);
    for (let n = 1; n <= 5; n++) change(1, again, n);
    const settled = () => of(1, 'ack').length + published.flatMap(({ message }) => (message.kind === 'changes' ? message.changes : [])).filter(({ replica }) => replica === replicaId(1)).length;
    await until(() => settled() >= 5, 'all five');
    expect(await logOf(A)).toEqual(['1.1', '1.2', '1.3', '1.4', '1.5']);
    expect(await logOf(B)).toEqual(['2.1']);
  }); // prettier-ignore

  test('A65 dies while its append is under way, and its successor loads before that is done: exactly once all the same', async () => {
    const ch = await join(1, A);
    const release = store.hold('append');
    breakOn('admit', '1.3');
    for (let n = 1; n <= 3; n++) change(1, ch, n);
    await until(() => of(1, 'error').length === 1, 'word of the end');
    clock.advance(250);
    const again = await join(1, A);
    for (let n = 1; n <= 3; n++) change(1, again, n);
    release();
    await until(() => database.pages.get(A)!.log.length >= 3, 'the log');
    const mine = () => published.flatMap(({ message }) => (message.kind === 'changes' ? message.changes.map(({ n }) => n) : []));
    await until(() => mine().includes(3), 'the last of them');
    expect(await logOf(A)).toEqual(['1.1', '1.2', '1.3']);
  }); // prettier-ignore

  test('A66 answers of the store reach the actor that asked, not the one in its place', async () => {
    const ch = await join(1, A);
    for (let n = 1; n <= 3; n++) change(1, ch, n);
    await until(() => database.pages.get(A)!.log.length === 3, 'the log');
    const first = actors()[0]!;
    // A snapshot is under way, an append too, when the first actor ends.
    const [letSave, letAppend] = [store.hold('saveSnapshot'), store.hold('append')];
    first.snapshot(true);
    breakOn('admit', '1.5');
    change(1, ch, 4);
    change(1, ch, 5);
    await until(() => first.isGone, 'its end');
    clock.advance(250);
    await join(1, A);
    const second = actors().at(-1)!;
    expect(second).not.toBe(first);
    letSave();
    letAppend();
    await until(
      () => database.snapshots.has(A) && database.pages.get(A)!.log.length === 4,
      'the late answers',
    );
    await sleep(20);
    const ofSecond = received.filter(({ actor }) => actor === second).map(({ type }) => type);
    expect(ofSecond).not.toContain('snapshot_saved');
    expect(ofSecond).not.toContain('appended');
    expect(second.isGone).toBe(false);
  });

  test('A66 a load that is answered after the end of the actor that asked for it is nobody’s', async () => {
    await join(9, A);
    const [actor] = actors();
    actor!.crash(0);
    const release = store.hold('openPage');
    subscribe(1, A);
    const loading = actors().at(-1)!;
    loading.crash(0);
    // Its successor asks for itself.
    subscribe(2, A);
    release();
    await until(() => of(2, 'subscribed').length === 1, 'SUBSCRIBED');
    await sleep(20);
    const loads = received.filter(({ type }) => type === 'loaded').map((one) => one.actor);
    expect(new Set(loads).size).toBe(loads.length);
    expect(loads).not.toContain(loading);
    expect(logged).toEqual([]);
  });

  test('A65 a tick, presence or a snapshot that throws ends that page only', async () => {
    await join(1, A);
    const ch = await join(2, B);
    vi.spyOn(PageActor.prototype, 'snapshot').mockImplementationOnce(() => {
      throw new AssertionError('planted');
    });
    clock.advance(1000);
    await until(() => of(1, 'error').length === 1, 'the end of the first page');
    change(2, ch, 1);
    await until(() => published.length === 1, 'the other page goes on');
    expect(of(2, 'error')).toEqual([]);
  });
});

describe('a damaged page', () => {
  const garbage = Uint8Array.of(0x91, 0x92, 0xc1);

  /** Four changes in the log, no snapshot, the third damaged. */
  async function damagedPage(): Promise<() => void> {
    await store.openPage(A, 'blocks');
    await store.append([{ page: A, epoch: EPOCH, known: seq(0), changes: [1, 2, 3, 4].map((n) => entry(n, 1, n)) }]);
    const { log } = database.pages.get(A)!;
    const whole = log[2]!;
    log[2] = { ...whole, body: garbage };
    return () => void (log[2] = whole);
  }

  test('S69 is unavailable, never empty; it is tried less and less often, and is back when it has been mended', async () => {
    const heal = await damagedPage();
    const retries: number[] = [];
    for (let attempt = 0; attempt < 10; attempt++) {
      const [loads, errors] = [store.opened.length, of(3, 'error').length];
      subscribe(3, A);
      await until(() => of(3, 'error').length > errors, 'the refusal');
      const { code, retryAfterMs } = of(3, 'error').at(-1)!;
      expect(code).toBe('unavailable');
      expect(store.opened.length).toBe(loads + 1);
      // Others who come meanwhile are told how long, and cost the store nothing.
      subscribe(4, A);
      expect(of(4, 'error').at(-1)).toMatchObject({ code: 'unavailable', retryAfterMs });
      expect(store.opened.length).toBe(loads + 1);
      retries.push(retryAfterMs!);
      clock.advance(retryAfterMs!);
    }
    expect(retries).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    expect(of(3, 'snapshot')).toEqual([]);
    const damage = logged.filter(({ message }) => message.includes('damaged'));
    expect(damage).toHaveLength(10);
    expect(damage[0]!.fields).toMatchObject({ page: A, seq: 3, repair: `octavo verify ${A}` });
    heal();
    const ch = await join(3, A);
    change(3, ch, 1);
    await until(() => database.pages.get(A)!.log.length === 5, 'the page is back');
  });

  test('S69 a hole in the log is named with its place', async () => {
    await damagedPage();
    vi.spyOn(store, 'readLog').mockImplementation(async () => database.pages.get(A)!.log.filter((entry) => entry.seq !== 2));
    subscribe(3, A);
    await until(() => of(3, 'error').length === 1, 'the refusal');
    expect(logged.at(-1)!.fields).toMatchObject({ page: A, seq: 2, error: 'the log lacks change 2 of 4' });
  });

  test('S69 a store that is down is no damage: the wait stays short', async () => {
    vi.spyOn(store, 'openPage').mockRejectedValue(new StoreError('connection', true, 'gone'));
    for (let attempt = 1; attempt <= 6; attempt++) {
      subscribe(3, B);
      await until(() => of(3, 'error').length === attempt, 'the refusal');
      expect(of(3, 'error').at(-1)).toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
    }
  });
}); // prettier-ignore
