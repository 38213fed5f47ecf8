/**
 * The way of a client from a server that is about to stop to another: two sockets at once, on a stage.
 */
import { describe, expect, it } from 'vitest';
import { settle, Stage } from '../../test/support/client-stage.ts';
import { encodeServerMessage } from '../protocol/encode.ts';
import { seq } from '../protocol/ids.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import type { Page } from './page.ts';

/** A page open on the first server, which says when to move. */
async function told(afterMs: number): Promise<{ stage: Stage; page: Page; say(which: number, message: ServerMessage): Promise<void> }> {
  const stage = new Stage();
  const page = await stage.page();
  stage.statuses.length = 0;
  await stage.say({ kind: 'goaway', afterMs });
  const say = (which: number, message: ServerMessage) => {
    stage.peers[which]!.events.message(encodeServerMessage(message));
    return settle();
  };
  return { stage, page, say };
} // prettier-ignore

const changes = (stage: Stage, which: number) =>
  stage.peers[which]!.got.flatMap((message) => (message.kind === 'change' ? message.n : []));

describe('a server that is about to stop', () => {
  it('K100 is left for another at the moment it named, when that has let the client in', async () => {
    const { stage, page } = await told(700);
    await stage.clock.advance(690);
    expect(stage.peers.length).toBe(1);
    await stage.clock.advance(20);
    expect(stage.peers.length).toBe(2);
    expect(stage.peer.got.map(({ kind }) => kind)).toEqual(['hello']);
    // Until then the first serves.
    page.insert({ type: 'paragraph', props: { n: 1 } });
    await settle();
    expect([changes(stage, 0), stage.peers[0]!.closed, page.live]).toEqual([[1], false, true]);
    await stage.welcome();
    expect([stage.peers[0]!.closed, stage.statuses]).toEqual([true, []]);
    expect(stage.last('subscribe')).toMatchObject({ ch: 1, since: null });
    await stage.subscribed();
    // The other has not heard of it: it is sent again, under its number.
    expect([changes(stage, 1), page.live, page.saved]).toEqual([[1], true, false]);
    stage.take(1);
    await stage.tell(1);
    expect([page.saved, page.seq, stage.errors]).toEqual([true, 1, []]);
  });

  it('K100 what it answers when it was left is not heard', async () => {
    const { stage, page, say } = await told(0);
    await stage.clock.advance(1);
    page.insert({ type: 'paragraph' });
    await settle();
    await stage.welcome();
    await say(0, { kind: 'ack', ch: 1, n: 1, seq: seq(1), replica: page.replica });
    await say(0, { kind: 'error', code: 'forbidden', message: '', retryAfterMs: null, ch: 1 });
    stage.peers[0]!.events.close(4500, '');
    await stage.subscribed();
    expect([page.saved, page.live, stage.client.status, stage.errors]).toEqual([false, true, 'online', []]);
  });

  it('K100 says when to move once: later words, and another server’s, are their own', async () => {
    const { stage, say } = await told(500);
    await say(0, { kind: 'goaway', afterMs: 0 });
    await stage.clock.advance(400);
    expect(stage.peers.length).toBe(1);
    await stage.clock.advance(200);
    await stage.welcome();
    await stage.subscribed();
    await stage.say({ kind: 'goaway', afterMs: 300 });
    await stage.clock.advance(299);
    expect(stage.peers.length).toBe(2);
    await stage.clock.advance(2);
    expect(stage.peers.length).toBe(3);
    await stage.client.close();
    expect(stage.peers.map(({ closed }) => closed)).toEqual([true, true, true]);
  });

  it('K101 is stayed with while there is no other, which is tried again and again', async () => {
    const { stage, page } = await told(10);
    stage.reachable = false;
    await stage.clock.advance(2000);
    const tries = stage.peers.length - 1;
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(8);
    expect([page.live, stage.statuses]).toEqual([true, []]);
    stage.reachable = true;
    while (stage.peer.got.length === 0) await stage.clock.advance(100);
    await stage.welcome();
    await stage.subscribed();
    expect([page.live, stage.statuses]).toEqual([true, []]);
  });

  it.each(['open', 'on its way'] as const)('K101 when it ends, a second socket that is %s is gone on with', async (second) => {
    const { stage, page } = await told(0);
    page.insert({ type: 'paragraph' });
    stage.reachable = second === 'open' || 'later';
    await stage.clock.advance(0);
    stage.peers[0]!.events.close(4000, '');
    await settle();
    expect([page.live, stage.client.status, stage.peers.length]).toEqual([false, 'connecting', 2]);
    if (second === 'on its way') stage.peer.events.open();
    await settle();
    expect(stage.peer.got.map(({ kind }) => kind)).toEqual(['hello', 'subscribe']);
    await stage.welcome();
    await stage.subscribed();
    expect([changes(stage, 1), page.live, stage.client.status, stage.peers.length]).toEqual([[1], true, 'online', 2]);
  }); // prettier-ignore

  it('K102 that says only 4000 is come back from soon, however many losses there were before', async () => {
    const stage = new Stage();
    await stage.page();
    for (let i = 0; i < 6; i++) {
      stage.peer.events.close(1006, '');
      while (stage.peer.got.length === 0) await stage.clock.advance(100);
      await stage.welcome();
    }
    const count = stage.peers.length;
    stage.peer.events.close(4000, '');
    await stage.clock.advance(250);
    expect(stage.peers.length).toBe(count + 1);
  });

  it('K102 one that has not let the client in is spared: it says 4000 where it cannot look at tokens, too', async () => {
    const stage = new Stage();
    await stage.page();
    const from = stage.peers.length;
    for (const until = stage.clock.time + 30_000; stage.clock.time < until;) {
      stage.peer.events.close(4000, '');
      await stage.clock.advance(100);
    }
    expect(stage.peers.length - from).toBeLessThan(26);
  });
});
