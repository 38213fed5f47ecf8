/**
 * Messages to bytes, for both directions. The positions are those of `decode.ts`; `docs/protocol-vectors.json` pins
 * both. A change's `ops` are embedded as they came: encoded once, by the client that made them.
 */
import { assertNever } from '../base/assert.ts';
import {
  CLIENT_KIND,
  type ClientMessage,
  SERVER_KIND,
  type ServerMessage,
  type WireChange,
  type WireStamp,
} from './messages.ts';
import { MsgpackWriter } from './msgpack-writer.ts';

const intOrNil = (w: MsgpackWriter, value: number | null) => (value === null ? w.nil() : w.int(value));
const idOrNil = (w: MsgpackWriter, id: string | null) => (id === null ? w.nil() : w.id(id));
const writeStamp = (w: MsgpackWriter, hlc: WireStamp) => w.array(2).int(hlc.ms).int(hlc.counter);

/** One writer for all: encoding never yields, and `take` copies. Given up when a large frame has made it large. */
const WRITER_BYTES_MAX = 64 << 10;
let writer = new MsgpackWriter(1024);

function cleared(): MsgpackWriter {
  if (writer.capacity > WRITER_BYTES_MAX) writer = new MsgpackWriter(1024);
  else writer.clear();
  return writer;
}

export function encodeClientMessage(message: ClientMessage): Uint8Array {
  const w = cleared();
  switch (message.kind) {
    case 'hello':
      w.array(4).int(CLIENT_KIND.hello).int(message.version).id(message.replica).str(message.clientName);
      break;
    case 'auth':
      w.array(2).int(CLIENT_KIND.auth).str(message.token);
      break;
    case 'ping':
      w.array(2).int(CLIENT_KIND.ping).int(message.t);
      break;
    case 'subscribe':
      w.array(6).int(CLIENT_KIND.subscribe).int(message.ch).id(message.page);
      intOrNil(w, message.since);
      idOrNil(w, message.epoch);
      if (message.create === null) w.nil();
      else w.str(message.create);
      break;
    case 'unsubscribe':
      w.array(2).int(CLIENT_KIND.unsubscribe).int(message.ch);
      break;
    case 'change':
      w.array(6).int(CLIENT_KIND.change).int(message.ch).int(message.n);
      writeStamp(w, message.hlc).raw(message.ops);
      idOrNil(w, message.replica);
      break;
    case 'presence':
      w.array(3).int(CLIENT_KIND.presence).int(message.ch);
      if (message.state === null) w.nil();
      else w.raw(message.state);
      break;
    case 'sync':
      w.array(3).int(CLIENT_KIND.sync).int(message.ch).int(message.since);
      break;
    case 'diverged':
      w.array(4).int(CLIENT_KIND.diverged).int(message.ch).int(message.seq).bin(message.hash);
      break;
    default:
      assertNever(message);
  }
  return w.take();
}

function writeChange(w: MsgpackWriter, change: WireChange): void {
  w.array(6).id(change.replica).int(change.n);
  writeStamp(w, change.hlc).str(change.author).int(change.at).raw(change.ops);
}

type Of<Kind extends ServerMessage['kind']> = Extract<ServerMessage, { kind: Kind }>;

function writeWelcome(w: MsgpackWriter, message: Of<'welcome'>): void {
  const limits = Object.entries(message.limits);
  w.array(6)
    .int(SERVER_KIND.welcome)
    .int(message.version)
    .id(message.node)
    .int(message.time)
    .map(limits.length);
  for (const [name, value] of limits) w.str(name).int(value);
  w.id(message.epoch);
}

function writePresence(w: MsgpackWriter, { page, states }: Of<'presence'>): void {
  w.array(3).int(SERVER_KIND.presence).id(page).array(states.length);
  for (const { replica, user, state } of states) {
    w.array(3).id(replica).str(user);
    if (state === null) w.nil();
    else w.raw(state);
  }
}

export function encodeServerMessage(message: ServerMessage): Uint8Array {
  const w = cleared();
  switch (message.kind) {
    case 'welcome':
      writeWelcome(w, message);
      break;
    case 'pong':
      w.array(3).int(SERVER_KIND.pong).int(message.t).int(message.time);
      break;
    case 'error':
      w.array(5).int(SERVER_KIND.error).str(message.code).str(message.message);
      intOrNil(w, message.retryAfterMs);
      intOrNil(w, message.ch);
      break;
    case 'role':
      w.array(3).int(SERVER_KIND.role);
      intOrNil(w, message.ch);
      if (message.role === null) w.nil();
      else w.str(message.role);
      break;
    case 'subscribed':
      w.array(7).int(SERVER_KIND.subscribed).int(message.ch).str(message.role);
      w.int(message.head).int(message.lastN).id(message.epoch);
      if (message.lastHlc === null) w.nil();
      else w.array(2).int(message.lastHlc.ms).int(message.lastHlc.counter);
      break;
    case 'snapshot':
      w.array(7).int(SERVER_KIND.snapshot).int(message.ch).int(message.seq).int(message.encoding);
      w.int(message.part).int(message.parts).bin(message.bytes);
      break;
    case 'changes':
      w.array(4)
        .int(SERVER_KIND.changes)
        .id(message.page)
        .int(message.firstSeq)
        .array(message.changes.length);
      for (const change of message.changes) writeChange(w, change);
      break;
    case 'committed':
      w.array(4).int(SERVER_KIND.committed).id(message.page).int(message.firstSeq);
      w.array(message.changes.length);
      for (const { replica, n, hlc } of message.changes) writeStamp(w.array(3).id(replica).int(n), hlc);
      break;
    case 'ack':
      w.array(5).int(SERVER_KIND.ack).int(message.ch).int(message.n).int(message.seq).id(message.replica);
      break;
    case 'reject':
      w.array(7).int(SERVER_KIND.reject).int(message.ch).int(message.n).str(message.code);
      intOrNil(w.str(message.message), message.retryAfterMs);
      w.id(message.replica);
      break;
    case 'notice':
      w.array(6).int(SERVER_KIND.notice).int(message.ch).int(message.n).str(message.code);
      w.int(message.opIndex).id(message.replica);
      break;
    case 'presence':
      writePresence(w, message);
      break;
    case 'hash':
      w.array(4).int(SERVER_KIND.hash).id(message.page).int(message.seq).bin(message.hash);
      break;
    case 'goaway':
      w.array(2).int(SERVER_KIND.goaway).int(message.afterMs);
      break;
    default:
      assertNever(message);
  }
  return w.take();
}
