/**
 * The client against a server that the test plays by hand, frame by frame, under a clock that the test moves.
 */
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  uuid,
  PAGE,
  OTHER,
  EPOCH,
  T0,
  settle,
  Stage,
  paragraph,
  marks,
} from '../../test/support/client-stage.ts';
import { encodeSnapshot } from '../document/snapshot.ts';
import { type EpochId, type ReplicaId, seq, type UserId } from '../protocol/ids.ts';
import { type ServerMessage } from '../protocol/messages.ts';
import { MsgpackWriter } from '../protocol/msgpack-writer.ts';
import { type OctavoError, type RejectedEvent } from './index.ts';

describe('joining', () => {
  it('K3 says HELLO and SUBSCRIBE in one go, and resolves at the head', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE, { create: 'blocks' });
    await settle();
    expect(stage.peer.got.map(({ kind }) => kind)).toEqual(['hello', 'subscribe']);
    expect(stage.last('subscribe')).toMatchObject({ page: PAGE, since: null, epoch: null, create: 'blocks' });
    stage.foreign(paragraph(1));
    await stage.welcome();
    await stage.subscribed();
    await stage.tell(1);
    const page = await opening;
    expect([page.seq, page.role, marks(page), page.saved]).toEqual([1, 'editor', [1], true]);
    expect(stage.statuses).toEqual(['online']);
  });

  it('K3 K9 rejects with the code when the server refuses for good, and tries again when it asks to wait', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE);
    const outcome = expect(opening).rejects.toMatchObject({ code: 'unknown_page', class: 'final' });
    await settle();
    await stage.welcome();
    const first = stage.last('subscribe').ch;
    await stage.say({ kind: 'error', code: 'unavailable', message: '', retryAfterMs: 700, ch: first });
    await stage.clock.advance(699);
    expect(stage.all('subscribe').length).toBe(1);
    await stage.clock.advance(2);
    const { ch } = stage.last('subscribe');
    expect(ch).not.toBe(first);
    await stage.say({ kind: 'error', code: 'unknown_page', message: '', retryAfterMs: null, ch });
    await outcome;
  });

  it('K4 takes a snapshot in parts, with changes between them, and ignores an older one', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE);
    await settle();
    await stage.welcome();
    for (let n = 1; n <= 3; n++) stage.foreign(paragraph(n));
    const packed = deflateSync(encodeSnapshot(stage.fold()));
    stage.foreign(paragraph(4));
    await stage.subscribed();
    const { ch } = stage.last('subscribe');
    const part = (i: number): ServerMessage => ({ kind: 'snapshot', ch, seq: seq(3), encoding: 1, part: i, parts: 2, bytes: packed.subarray(i * 40, i ? undefined : 40) }); // prettier-ignore
    stage.foreign(paragraph(5));
    // The page's stream overtakes what was promised: there is nothing to ask for.
    await stage.tell(5);
    await stage.say(part(0), part(0));
    await stage.tell(5);
    expect(stage.all('sync')).toEqual([]);
    await stage.say(part(1));
    await stage.tell(4, 4);
    const page = await opening;
    expect([page.seq, marks(page)]).toEqual([5, [1, 2, 3, 4, 5]]);
    await stage.say(part(0), part(1));
    await settle();
    expect(page.seq).toBe(5);
  });
});

describe('the log', () => {
  it('G92 left behind and followed again: takes who is here anew, and asks for what it lacks', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const state = new MsgpackWriter().json(1).take();
    await stage.say({
      kind: 'presence',
      page: PAGE,
      states: [{ replica: OTHER, user: 'ann' as UserId, state }],
    });
    for (let n = 1; n <= 4; n++) stage.foreign(paragraph(n));
    await stage.tell(1, 1);
    await stage.subscribed();
    expect(page.presence.others.size).toBe(0);
    await stage.tell(4, 4);
    expect(stage.all('sync')).toMatchObject([{ since: 1 }]);
    await stage.tell(2);
    expect([page.seq, marks(page)]).toEqual([4, [1, 2, 3, 4]]);
    await stage.subscribed();
    expect(stage.all('sync').length).toBe(1);
  });

  it('K5 asks once for what is missing, and keeps what comes meanwhile', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (let n = 1; n <= 5; n++) stage.foreign(paragraph(n));
    await stage.tell(1, 1);
    await stage.tell(4, 4);
    await stage.tell(5, 5);
    expect(stage.all('sync')).toMatchObject([{ since: 1 }]);
    await stage.tell(2, 3);
    expect([page.seq, marks(page)]).toEqual([5, [1, 2, 3, 4, 5]]);
    await stage.tell(2);
    expect(page.seq).toBe(5);
  });

  it('K6 K19 resumes after a loss from where it is, and sends again what is not in the log', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph', props: { n: 1 } });
    await settle();
    page.insert({ type: 'paragraph', props: { n: 2 } });
    await settle();
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 2]);
    expect(page.saved).toBe(false);
    stage.take(1);
    stage.peer.events.close(4000, 'going away');
    await settle();
    expect(stage.statuses.at(-1)).toBe('offline');
    page.insert({ type: 'paragraph', props: { n: 3 } });
    await stage.clock.advance(400);
    expect(stage.peers.length).toBe(2);
    await stage.welcome();
    expect(stage.last('subscribe')).toMatchObject({ since: null, epoch: EPOCH });
    await stage.subscribed({ lastN: 1 });
    expect(stage.all('change')).toEqual([]);
    await stage.tell(1);
    expect(stage.all('change').map(({ n }) => n)).toEqual([2, 3]);
    stage.take(2, 3);
    await stage.tell(2);
    expect([page.saved, page.seq, marks(page)]).toEqual([true, 3, [1, 2, 3]]);
  });

  it('K19 numbers go on behind what has come since SUBSCRIBED, not behind what it said', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (let n = 1; n <= 3; n++) {
      page.insert({ type: 'paragraph', props: { n } });
      await settle();
    }
    stage.take(1, 2);
    stage.peer.events.close(1006, '');
    await stage.clock.advance(400);
    await stage.welcome();
    await stage.subscribed({ head: seq(1), lastN: 1 });
    await stage.tell(1);
    expect([page.seq, page.pendingChanges, stage.all('change').map(({ n }) => n)]).toEqual([2, 1, [3]]);
  });

  it('K7 starts over in another epoch, and keeps what is pending', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const id = page.insert({ type: 'paragraph', text: 'one' });
    await settle();
    stage.take(1);
    await stage.tell(1);
    page.text(id).insert(3, ' two');
    await settle();
    stage.peer.events.close(1006, '');
    await stage.clock.advance(400);
    await stage.welcome();
    const lost = stage.log.splice(0);
    stage.foreign(paragraph(7));
    stage.log.push({ ...lost[0]!, replica: uuid<ReplicaId>(8) });
    await stage.subscribed({ epoch: uuid<EpochId>(33) });
    await stage.tell(1);
    expect(page.block(id)!.plainText).toBe('one two');
    expect(marks(page)).toContain(7);
    expect(stage.last('change').n).toBe(1);
  });

  it('K8 merges text typed while the window is full, and keeps 16 in flight', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const id = page.insert({ type: 'paragraph' });
    await settle();
    for (let i = 0; i < 40; i++) {
      page.text(id).insert(i, 'x');
      await Promise.resolve();
    }
    await settle();
    expect(stage.all('change').length).toBe(16);
    stage.take(1, 16);
    await stage.tell(1);
    expect(stage.all('change').map(({ n }) => n)).toEqual(Array.from({ length: 17 }, (_, i) => i + 1));
    stage.take(17);
    await stage.tell(17);
    expect(page.saved).toBe(true);
    expect(stage.fold().get(id)!.text!.updates.length).toBeGreaterThan(0);
    expect(page.block(id)!.plainText).toBe('x'.repeat(40));
  });
});

describe('refusals', () => {
  it('K9 wait: keeps the change and what follows, and sends them after the time', async () => {
    const stage = new Stage();
    const page = await stage.page();
    for (const n of [1, 2]) {
      page.insert({ type: 'paragraph', props: { n } });
      await settle();
    }
    await stage.reject(1, 'busy', 500);
    await stage.reject(2, 'out_of_order');
    expect(stage.all('change').length).toBe(2);
    await stage.clock.advance(501);
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 2, 1, 2]);
    expect(page.pendingChanges).toBe(2);
  });

  it('H9 H10 clock_skew: stamps anew, below the wrong clock, in order', async () => {
    const stage = new Stage();
    const opening = stage.client.open(PAGE);
    await settle();
    await stage.welcome(stage.clock.now() + 3_600_000);
    await stage.subscribed();
    const page = await opening;
    page.insert({ type: 'paragraph' });
    await settle();
    const wrong = stage.last('change').hlc;
    await stage.say({ kind: 'pong', t: 0, time: stage.clock.now() });
    await stage.reject(1, 'clock_skew');
    // Perhaps it was the server's clock that stepped back.
    expect(stage.all('ping')).toHaveLength(1);
    await stage.clock.advance(1000);
    const again = stage.last('change');
    expect([again.n, again.hlc.ms < wrong.ms - 3_000_000]).toEqual([1, true]);
  });

  it('K11 final: hands the change back, numbers the next anew, and makes its text again', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    const id = page.insert({ type: 'paragraph', text: 'base' });
    await settle();
    stage.take(1);
    await stage.tell(1);
    const stale = page.text(id);
    stale.insert(0, 'REFUSED ');
    await settle();
    stale.insert(stale.length, ' kept');
    await settle();
    await stage.reject(2, 'missing');
    await stage.reject(3, 'out_of_order');
    await stage.clock.advance(1);
    expect(rejected).toMatchObject([{ code: 'missing', ops: [{ op: 'text', block: id }] }]);
    expect(rejected[0]!.texts.has(id)).toBe(true);
    await stage.subscribed({ lastN: 1 });
    expect(stage.last('change').n).toBe(2);
    stage.take(2);
    await stage.tell(2);
    expect(page.saved).toBe(true);
    expect(page.block(id)!.plainText).toBe('base kept');
    expect(page.text(id)).not.toBe(stale);
    expect(page.text(id).toString()).toBe('base kept');
  });

  it('K12 forbidden: hands back everything at once, and the view is what the log says', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const rejected: RejectedEvent[] = [];
    page.on('rejected', (event) => rejected.push(event));
    for (const n of [1, 2, 3]) {
      page.insert({ type: 'paragraph', props: { n } });
      await settle();
    }
    await stage.reject(1, 'forbidden');
    expect(rejected.map(({ code, ops }) => [code, ops.length])).toEqual([['forbidden', 3]]);
    expect([page.saved, marks(page)]).toEqual([true, []]);
    await stage.clock.advance(1);
    await stage.subscribed({ role: 'viewer' });
    expect(page.role).toBe('viewer');
    expect(() => page.insert({ type: 'paragraph' })).toThrow(expect.objectContaining({ code: 'forbidden' }));
  });

  it('K23 a page that is opened again is written under a fresh replica, above the stamps made before', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph' });
    await settle();
    const { n, hlc, replica } = stage.last('change');
    expect([n, replica, page.replica]).toEqual([1, null, stage.client.replica]);
    page.close();
    const opening = stage.client.open(PAGE);
    await settle();
    // This node has not heard of the first change yet; its number must not be given to another.
    await stage.subscribed({ lastN: 0 });
    const again = await opening;
    again.update(PAGE, { title: 'again' });
    await settle();
    const change = stage.last('change');
    expect(again.replica).not.toBe(stage.client.replica);
    expect([change.n, change.replica]).toEqual([1, again.replica]);
    expect(change.hlc).toEqual({ ms: hlc.ms, counter: hlc.counter + 1 });
  });

  it('K16 a fresh token that was taken leaves the pages open', async () => {
    const stage = new Stage();
    const page = await stage.page();
    await stage.say({ kind: 'role', ch: null, role: null });
    expect([page.live, page.role]).toEqual([true, 'editor']);
  });

  it.each(['role', 'error'] as const)('K60 a page that is taken away (by %s) hands back what is pending', async (how) => {
    const stage = new Stage();
    const page = await stage.page();
    const [rejected, closed, roles]: [RejectedEvent[], OctavoError[], unknown[]] = [[], [], []];
    page.on('rejected', (event) => rejected.push(event));
    page.on('closed', (error) => closed.push(error));
    page.on('role', (role) => roles.push(role));
    for (const n of [1, 2, 3]) {
      page.insert({ type: 'paragraph', props: { n } });
      await settle();
    }
    const saved = expect(page.whenSaved()).rejects.toMatchObject({ code: 'forbidden' });
    const { ch } = stage.last('subscribe');
    if (how === 'role') await stage.say({ kind: 'role', ch, role: null });
    else await stage.say({ kind: 'error', code: 'forbidden', message: 'no', retryAfterMs: null, ch });
    expect(rejected.map(({ code, ops }) => [code, ops.length])).toEqual([['forbidden', 3]]);
    expect(closed.map(({ code }) => code)).toEqual(['forbidden']);
    expect([page.role, page.pendingChanges, marks(page)]).toEqual([null, 0, []]);
    expect(roles).toEqual([null]);
    await saved;
    expect(() => page.insert({ type: 'paragraph' })).toThrow(expect.objectContaining({ code: 'forbidden' }));
  }); // prettier-ignore
});

describe('the connection', () => {
  it('K14 comes back with back-off, and stays away when told so', async () => {
    const stage = new Stage();
    const page = await stage.page();
    stage.reachable = false;
    stage.peer.events.close(1006, '');
    await stage.clock.advance(20_000);
    const tries = stage.peers.length;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(24);
    stage.reachable = true;
    while (stage.peer.got.length === 0) await stage.clock.advance(500);
    await stage.welcome();
    await stage.subscribed();
    expect(page.live).toBe(true);
    const over: OctavoError[] = [];
    page.on('error', (error) => over.push(error));
    stage.peer.events.close(4500, 'no');
    await settle();
    expect([stage.client.status, over[0]?.code, stage.errors.at(-1)?.code]).toEqual(['closed', 'unauthorized', 'unauthorized']); // prettier-ignore
    const count = stage.peers.length;
    await stage.clock.advance(60_000);
    expect(stage.peers.length).toBe(count);
    await expect(stage.client.open(PAGE)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('K120 tries every 2 s at least in the first minute without a connection, and every 15 s later', async () => {
    const stage = new Stage();
    await stage.page();
    stage.reachable = false;
    stage.peer.events.close(1006, '');
    const triesIn = async (ms: number) => {
      const before = stage.peers.length;
      await stage.clock.advance(ms);
      return stage.peers.length - before;
    };
    await triesIn(10_000);
    expect(await triesIn(2100)).toBeGreaterThan(0);
    const [minute, later] = [await triesIn(40_000), (await triesIn(60_000), await triesIn(40_000))];
    expect(minute).toBeGreaterThanOrEqual(20);
    expect(later).toBeLessThan(8);
    expect(await triesIn(15_100)).toBeGreaterThan(0);
    // Whoever was let in again begins anew.
    stage.reachable = true;
    while (stage.peer.got.length === 0) await stage.clock.advance(500);
    await stage.welcome();
    stage.reachable = false;
    stage.peer.events.close(1006, '');
    await triesIn(10_000);
    expect(await triesIn(2100)).toBeGreaterThan(0);
  });

  it('K15 pings in silence, and gives up on a server that does not answer', async () => {
    const stage = new Stage();
    stage.answersPings = false;
    await stage.page();
    await stage.clock.advance(21_000);
    expect(stage.all('ping').length).toBeGreaterThan(0);
    const { peer } = stage;
    await stage.clock.advance(15_000);
    expect(peer.closed).toBe(true);
    expect(stage.peers.length).toBeGreaterThan(1);
  });

  it('K16 sends a fresh token before the old one expires, and when the server says it has', async () => {
    let given = 0;
    const token = () => {
      const payload = { exp: (T0 + stage.clock.time) / 1000 + 100, given: ++given };
      return `x.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.y`;
    };
    const stage: Stage = new Stage(token);
    const page = await stage.page();
    await stage.clock.advance(60_000);
    expect(stage.all('auth')).toEqual([]);
    await stage.clock.advance(16_000);
    expect(stage.all('auth').length).toBe(1);
    await stage.clock.advance(3000);
    page.insert({ type: 'paragraph' });
    await settle();
    await stage.reject(1, 'expired', 300);
    await stage.say({ kind: 'error', code: 'expired', message: '', retryAfterMs: null, ch: null });
    expect(stage.all('auth').length).toBe(2);
    await stage.clock.advance(301);
    expect(stage.all('change').map(({ n }) => n)).toEqual([1, 1]);
  });

  it('K17 closes', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.insert({ type: 'paragraph' });
    const waiting = expect(page.whenSaved()).rejects.toMatchObject({ code: 'closed' });
    await stage.client.close();
    await waiting;
    expect([stage.peer.closed, stage.client.status]).toEqual([true, 'closed']);
  });
});

describe('presence', () => {
  it('K18 shows others, never me; sends the latest only, and again after a reconnect', async () => {
    const stage = new Stage();
    const page = await stage.page();
    const state = new MsgpackWriter().json({ cursor: 1 }).take();
    const me = { replica: stage.client.replica, user: 'me' as UserId, state };
    const ann = { replica: OTHER, user: 'ann' as UserId, state };
    await stage.say({ kind: 'presence', page: PAGE, states: [me, ann] });
    expect([...page.presence.others]).toEqual([[OTHER, { user: 'ann', state: { cursor: 1 } }]]);
    for (let i = 0; i < 50; i++) page.presence.set({ i });
    await stage.clock.advance(99);
    expect(stage.all('presence').length).toBe(1);
    await stage.clock.advance(10);
    expect(stage.all('presence').length).toBe(2);
    await stage.say({ kind: 'presence', page: PAGE, states: [{ ...ann, state: null }] });
    expect(page.presence.others.size).toBe(0);
    stage.peer.events.close(4000, '');
    await stage.clock.advance(500);
    await stage.welcome();
    await stage.subscribed();
    await stage.clock.advance(200);
    expect(stage.all('presence').length).toBe(1);
  });

  it('K61 sends its latest state again after a refusal for its rate, and changes do not wait for that', async () => {
    const stage = new Stage();
    const page = await stage.page();
    page.presence.set({ at: 'once' });
    const { ch } = stage.last('subscribe');
    await stage.say({ kind: 'error', code: 'rate', message: 'slowly', retryAfterMs: 700, ch });
    page.insert({ type: 'paragraph' });
    await settle();
    expect(stage.all('change').length).toBe(1);
    await stage.clock.advance(650);
    expect(stage.all('presence').length).toBe(1);
    await stage.clock.advance(100);
    expect(stage.all('presence').map(({ state }) => state)).toEqual([1, 2].map(() => stage.last('presence').state));
    await stage.clock.advance(5000);
    expect(stage.all('presence').length).toBe(2);
  }); // prettier-ignore
});
