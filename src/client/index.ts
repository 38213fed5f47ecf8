/**
 * `octavo/client`: the SDK, for browsers and Node.js.
 *
 *     const client = connect({ url: 'ws://127.0.0.1:3002/v1/sync', token: () => fetchToken() });
 *     const page = await client.open(pageId, { create: 'blocks' });
 *     const id = page.insert({ type: 'paragraph', text: 'Hello' });
 *     page.text(id).insert(5, ', world');
 *     await page.whenSaved();
 */
import { systemRandom } from '../base/random.ts';
import { systemClock } from '../base/time.ts';
import { Client, type ClientOptions } from './client.ts';
import { unpackSnapshot } from './snapshot-parts.ts';
import { openWebSocket } from './socket.ts';

export type ConnectOptions = Pick<ClientOptions, 'url' | 'token'> & Partial<ClientOptions>;

/** Starts to connect; pages can be opened at once. */
export function connect(options: ConnectOptions): Client {
  return new Client({
    name: 'octavo-client',
    clock: systemClock,
    random: systemRandom,
    openSocket: openWebSocket,
    unpack: unpackSnapshot,
    ...options,
  });
}

export { OctavoError } from './errors.ts';
export type { ClientCode } from './errors.ts';
export type { Client, OpenOptions } from './client.ts';
export type { Page } from './page.ts';
export type { BlockView } from './block-view.ts';
export type { Destination, NewBlock } from './editing.ts';
export type { DivergedEvent } from './divergence.ts';
export type { ChangeEvent, ChangeSummary, PageEvents, RejectedEvent } from './page-events.ts';
export type { Presence, PresenceState } from './presence.ts';
export type { Status } from './link.ts';
export type { OpenSocket, Socket, SocketEvents } from './socket.ts';
export type { TokenProvider } from './token.ts';
export type { JsonValue } from '../base/json.ts';
export type { BlockJson, TextRun } from '../document/block-json.ts';
export type { BlockId, PageId, ReplicaId, Seq, UserId } from '../protocol/ids.ts';
export type { Role } from '../protocol/messages.ts';
