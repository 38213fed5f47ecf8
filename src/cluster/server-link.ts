/**
 * A publishing and a listening connection to one server, opened together and lost together. For one server of a cluster they
 * speak sharded pub/sub (Redis 7): a message goes to that server's listeners, and not to all servers.
 */
import { withTimeout } from '../base/time.ts';
import type { RedisAddress, RedisServer } from './redis-address.ts';
import { redisConnection, type RedisConnection } from './redis-connection.ts';

export interface RedisLinkEvents {
  /** The payload is a view into what was read from the socket. */
  message(channel: string, payload: Uint8Array): void;
  /** Told at least once when the link cannot be used any more; never after `close` was called. */
  lost(reason: string): void;
}

const FAREWELL_MS = 500;
/** Names in one command, so that it is not too large; a cluster takes them one by one. */
const SUBSCRIBE_AT_ONCE = 500;

export class ServerLink {
  readonly #publisher: RedisConnection;
  readonly #subscriber: RedisConnection;
  readonly #isSharded: boolean;
  readonly #events: RedisLinkEvents;
  #closed = false;

  constructor(address: RedisAddress, server: RedisServer, events: RedisLinkEvents) {
    this.#events = events;
    this.#isSharded = address.form === 'cluster';
    this.#publisher = this.#connection(address, server, 'publisher');
    this.#subscriber = this.#connection(address, server, 'subscriber');
    const event = this.#isSharded ? 'smessageBuffer' : 'messageBuffer';
    this.#subscriber.client.on(event, (channel: Buffer, payload: Buffer) => {
      if (!this.#closed) events.message(channel.toString('latin1'), payload);
    });
  }

  #connection(address: RedisAddress, server: RedisServer, name: string): RedisConnection {
    const connection = redisConnection(address, server, name);
    connection.client.on('end', () => this.#lost(connection.reason()));
    // The cluster has taken a channel of ours from this server.
    connection.client.on('moved', () => this.#lost('the cluster has changed'));
    return connection;
  }

  #lost(reason: string): void {
    if (!this.#closed) this.#events.lost(reason);
  }

  async open(): Promise<void> {
    const open = ({ client, reason }: RedisConnection) =>
      client.connect().catch((error: unknown) => {
        throw new Error(reason(), { cause: error });
      });
    await Promise.all([open(this.#publisher), open(this.#subscriber)]);
  }

  /** Resolves when messages on all of them are heard. */
  async subscribe(channels: readonly string[]): Promise<void> {
    const { client } = this.#subscriber;
    const answers: Promise<unknown>[] = [];
    const step = this.#isSharded ? 1 : SUBSCRIBE_AT_ONCE;
    for (let at = 0; at < channels.length; at += step) {
      const names = channels.slice(at, at + step);
      answers.push(this.#isSharded ? client.ssubscribe(...names) : client.subscribe(...names));
    }
    await Promise.all(answers);
  }

  unsubscribe(channel: string): void {
    const { client } = this.#subscriber;
    (this.#isSharded ? client.sunsubscribe(channel) : client.unsubscribe(channel)).catch(() => {
      // The connection has ended, and with it the subscription.
    });
  }

  /** Resolves when Redis has it. */
  publish(channel: string, payload: Buffer): Promise<unknown> {
    const { client } = this.#publisher;
    this.#gather();
    if (!this.#isSharded) return client.publish(channel, payload);
    return client.spublish(channel, payload).catch((error: Error) => {
      if (error.message.startsWith('MOVED ')) this.#lost('the cluster has changed');
      throw error;
    });
  }

  /** What one turn publishes leaves in one write: a third less CPU for each message than a write each. */
  #gather(): void {
    const { stream } = this.#publisher.client;
    if (stream.writableCorked > 0) return;
    stream.cork();
    queueMicrotask(() => stream.uncork());
  }

  /** Lets Redis take what was published, if it does so soon. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { client } = this.#publisher;
    if (client.status === 'ready') {
      await withTimeout(client.quit(), FAREWELL_MS, () => new Error('too late')).catch(() => {
        // Gone, or frozen: what it has not taken by now is lost, as any message may be.
      });
    }
    this.#publisher.end();
    this.#subscriber.end();
  }
}
