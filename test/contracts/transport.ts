/**
 * The contract of the transport port: what `src/gateway/transport.ts` promises, tried on any twin through real
 * sockets. `transport.test.ts` runs it on both. Clients are `ws`; those who must misbehave are bare `node:net`.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type {
  HttpReply,
  HttpRequest,
  Transport,
  TransportHandlers,
  TransportLimits,
  TransportSocket,
  UpgradeRequest,
} from '../../src/gateway/transport.ts';

type Make = (limits: TransportLimits, handlers: TransportHandlers<string>) => Promise<Transport>;

interface Rig {
  readonly transport: Transport;
  readonly port: number;
  readonly sockets: TransportSocket[];
  readonly events: string[];
  readonly requests: { path: string; user: string | null; agent: string; address: string }[];
  on: Partial<TransportHandlers<string>>;
  connect(path?: string, protocols?: string[], headers?: Record<string, string>): Promise<Client>;
}

interface Client {
  readonly ws: WebSocket;
  readonly received: string[];
  readonly closed: Promise<{ code: number; reason: string }>;
}

const limits: TransportLimits = { messageBytesMax: 100_000, backpressureBytesMax: 200_000, idleSeconds: 60 };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const page = (path: string): HttpReply => ({ status: 200, contentType: 'text/plain', body: `page ${path}` });
const head = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 1_000) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function raw(port: number, bytes: string): Promise<{ stream: Socket; ended: Promise<string> }> {
  return new Promise((resolve) => {
    const stream = connect(port, '127.0.0.1');
    let seen = '';
    stream.on('data', (chunk) => (seen += chunk.toString('latin1')));
    stream.on('error', () => {});
    const ended = new Promise<string>((done) => stream.on('close', () => done(seen)));
    stream.on('connect', () => {
      stream.write(bytes);
      resolve({ stream, ended });
    });
  });
}

function openClient(
  port: number,
  path: string,
  protocols: string[],
  headers: Record<string, string>,
): Promise<Client> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers, perMessageDeflate: false });
  const received: string[] = [];
  ws.on('message', (data, isBinary) => received.push(isBinary ? String(data) : `text:${String(data)}`));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    ws.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  return new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('open', () => resolve({ ws, received, closed }));
  });
}

async function startRig(make: Make): Promise<Rig> {
  const sockets: TransportSocket[] = [];
  const events: string[] = [];
  const requests: Rig['requests'] = [];
  const on: Partial<TransportHandlers<string>> = {};
  const accept = (request: UpgradeRequest): ReturnType<TransportHandlers<string>['upgrade']> => {
    const { path, query, address } = request;
    requests.push({ path, user: query.get('token'), agent: request.header('x-agent'), address });
    if (path === '/refuse') return { accept: false, status: 403, body: 'no' };
    return { accept: true, protocol: request.protocols.at(-1) ?? '', context: path };
  };
  const transport = await make(limits, {
    upgrade: (request) => (on.upgrade ?? accept)(request),
    open(socket, context) {
      sockets.push(socket);
      events.push(`open ${context}`);
      on.open?.(socket, context);
    },
    message(socket, bytes, isBinary) {
      events.push(`message ${isBinary ? 'binary' : 'text'} ${bytes.length}`);
      on.message?.(socket, bytes, isBinary);
    },
    drain: (socket) => on.drain?.(socket),
    dropped: (socket) => on.dropped?.(socket),
    close(socket, code) {
      events.push(`close ${code}`);
      on.close?.(socket, code);
    },
    http: async (asked) => (on.http ?? (async ({ path }: HttpRequest) => page(path)))(asked),
  });
  const port = await transport.listen('127.0.0.1', 0);
  return {
    transport,
    port,
    sockets,
    events,
    requests,
    on,
    connect: (path = '/', protocols = [], headers = {}) => openClient(port, path, protocols, headers),
  };
}

export function transportContract(name: string, make: Make): void {
  const rigs: Rig[] = [];
  const rig = async (): Promise<Rig> => {
    const started = await startRig(make);
    rigs.push(started);
    return started;
  };
  afterEach(async () => {
    for (const started of rigs.splice(0)) await started.transport.close();
  });
  describe(`transport contract: ${name}`, () => {
    messages(rig);
    order(rig);
    closing(rig);
    pressure(rig);
    requests(rig);
    lifetime(rig, make);
  });
}

function messages(rig: () => Promise<Rig>): void {
  it('G30 echoes binary messages and tells text from binary', async () => {
    const server = await rig();
    server.on.message = (socket, bytes) => socket.send(bytes);
    const client = await server.connect('/doc');
    client.ws.send(text('one'));
    client.ws.send('two');
    await until('echoes', () => client.received.length === 2);
    expect(client.received).toEqual(['one', 'two']);
    expect(server.events).toEqual(['open /doc', 'message binary 3', 'message text 3']);
    expect(server.sockets[0]?.id).toBeGreaterThan(0);
  });

  it('G30 lets the caller reuse the bytes after send and publish', async () => {
    const server = await rig();
    const client = await server.connect();
    const bytes = new Uint8Array(80_000).fill(97);
    server.sockets[0]?.join('t');
    server.sockets[0]?.send(bytes);
    server.transport.publish('t', bytes);
    bytes.fill(98);
    await until('frames', () => client.received.length === 2);
    expect(client.received.every((frame) => /^a+$/.test(frame))).toBe(true);
  });

  it('G32 keeps the process and the other sockets when a handler throws', async () => {
    const server = await rig();
    const other = await server.connect();
    const client = await server.connect();
    server.on.message = () => {
      throw new Error('bug');
    };
    client.ws.send('x');
    expect((await client.closed).code).toBe(1011);
    server.sockets[0]?.send(text('alive'));
    await until('the other is alive', () => other.received.length === 1);
  });
}

function order(rig: () => Promise<Rig>): void {
  for (const [size, padding] of [
    ['small', ''],
    ['large', '.'.repeat(20_000)],
  ] as const) {
    it(`G31 keeps the order of send, publish, join and leave within a turn (${size} frames)`, async () => {
      const server = await rig();
      const [first, second] = [await server.connect(), await server.connect()];
      const [a, b] = server.sockets;
      const sends = (socket: TransportSocket | undefined, value: string): unknown =>
        socket?.send(text(value + padding));
      const publish = (value: string): void => server.transport.publish('t', text(value + padding));
      const turn = (): void => {
        a?.join('t');
        sends(a, '1');
        publish('2');
        sends(a, '3');
        server.transport.publish('t', text('4')); // small between large ones: another path in the addon
        publish('5');
        sends(b, 'before');
        b?.join('t');
        publish('6');
        sends(b, 'between');
        sends(a, '7');
        publish('8');
        a?.leave('t');
        publish('9');
        sends(a, '10');
        for (let index = 0; index < 70; index++) publish(`b${index}`);
        sends(b, 'end');
      };
      turn();
      await until('all frames', () => first.received.length >= 9 && second.received.length >= 76);
      const bare = (frames: string[]): string[] => frames.map((frame) => frame.replaceAll('.', ''));
      expect(bare(first.received)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '10']);
      const many = Array.from({ length: 70 }, (_, index) => `b${index}`);
      expect(bare(second.received)).toEqual(['before', '6', 'between', '8', '9', ...many, 'end']);
    });
  }

  it('G31 keeps the order inside cork, in a message callback, and leaves with an end inside cork', async () => {
    const server = await rig();
    server.on.message = (socket) => {
      socket.join('t');
      socket.cork(() => {
        socket.send(text('1'));
        server.transport.publish('t', text('2'));
        socket.send(text('3'));
      });
      server.transport.publish('t', text('4'));
      socket.send(text('5'));
    };
    const client = await server.connect();
    client.ws.send('go');
    await until('frames', () => client.received.length === 5);
    expect(client.received).toEqual(['1', '2', '3', '4', '5']);
    server.sockets[0]?.cork(() => {
      server.sockets[0]?.send(text('6'));
      server.sockets[0]?.end(4001, 'bye');
      expect(server.sockets[0]?.send(text('7'))).toBe('dropped');
    });
    expect(server.events.at(-1)).toBe('close 4001');
    expect(await client.closed).toEqual({ code: 4001, reason: 'bye' });
    expect(client.received.at(-1)).toBe('6');
  });

  it('G31 publishes to every member and to nobody else', async () => {
    const server = await rig();
    const clients = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
    server.sockets.forEach((socket, index) => socket.join(index % 2 ? 'odd' : 'even'));
    server.transport.publish('odd', text('o'));
    server.transport.publish('nobody', text('n'));
    server.sockets.forEach((socket) => socket.leave('odd'));
    server.transport.publish('odd', text('late'));
    server.sockets.forEach((socket) => socket.send(text('end')));
    await until('ends', () => clients.every((client) => client.received.includes('end')));
    expect(clients.flatMap((client) => client.received).sort()).toEqual([
      ...Array<string>(20).fill('end'),
      ...Array<string>(10).fill('o'),
    ]);
  });
}

function closing(rig: () => Promise<Rig>): void {
  it('G33 reports the peer’s close code, 1005 for none, 1006 for a vanished peer', async () => {
    const server = await rig();
    (await server.connect()).ws.close(4123, 'done');
    await until('4123', () => server.events.includes('close 4123'));
    (await server.connect()).ws.close();
    await until('1005', () => server.events.includes('close 1005'));
    (await server.connect()).ws.terminate();
    await until('1006', () => server.events.includes('close 1006'));
  });

  it('G33 reports end and terminate before they return, once, and nothing afterwards', async () => {
    const server = await rig();
    const [first, second] = [await server.connect(), await server.connect()];
    const [a, b] = server.sockets;
    a?.join('t');
    a?.send(text('last'));
    a?.end(4002, 'é'.repeat(100));
    expect(server.events.at(-1)).toBe('close 4002');
    b?.terminate();
    expect(server.events.at(-1)).toBe('close 1006');
    for (const socket of [a, b]) {
      expect(socket?.send(text('x'))).toBe('dropped');
      expect(socket?.bufferedBytes()).toBe(0);
      socket?.join('t');
      socket?.leave('t');
      socket?.cork(() => socket.send(text('x')));
      socket?.end(1000, '');
      socket?.terminate();
    }
    server.transport.publish('t', text('x'));
    expect(await first.closed).toEqual({ code: 4002, reason: 'é'.repeat(61) });
    expect((await second.closed).code).toBe(1006);
    expect(first.received).toEqual(['last']);
    expect(server.events.filter((event) => event.startsWith('close'))).toHaveLength(2);
  });

  it('G34 takes a message at the limit and closes a larger one with 1009', async () => {
    const server = await rig();
    const client = await server.connect();
    client.ws.send(new Uint8Array(limits.messageBytesMax));
    client.ws.send(new Uint8Array(limits.messageBytesMax + 1));
    expect((await client.closed).code).toBe(1009);
    const huge = await server.connect();
    huge.ws.on('error', () => {});
    huge.ws.send(new Uint8Array(limits.messageBytesMax * 10));
    await huge.closed;
    await until('closes', () => server.events.filter((event) => event === 'close 1009').length === 2);
    expect(server.events.filter((event) => event.startsWith('message'))).toHaveLength(1);
  });
}

function pressure(rig: () => Promise<Rig>): void {
  const frame = new Uint8Array(50_000);

  it('G35 queues, then drops and says so, and drains when the client reads again', async () => {
    const server = await rig();
    let [drains, dropped] = [0, 0];
    server.on.drain = () => drains++;
    server.on.dropped = () => dropped++;
    const client = await server.connect();
    client.ws.pause();
    const [socket] = server.sockets;
    const results = new Set<string>();
    let delivered = 0;
    for (let sent = 0; sent < 2_000 && !results.has('dropped'); sent++) {
      const result = socket?.send(frame) ?? '';
      results.add(result);
      if (result !== 'dropped') delivered++;
    }
    expect([...results]).toEqual(['sent', 'queued', 'dropped']);
    expect(socket?.bufferedBytes()).toBeGreaterThan(limits.backpressureBytesMax);
    expect(socket?.bufferedBytes()).toBeLessThan(limits.backpressureBytesMax + 2 * frame.length);
    expect(dropped).toBe(0);
    await until('dropped', () => dropped === 1);
    client.ws.resume();
    await until('drained', () => drains > 0 && socket?.bufferedBytes() === 0);
    await until('queued frames', () => client.received.length === delivered);
    expect(socket?.send(text('again'))).toBe('sent');
    await until('again', () => client.received.at(-1) === 'again');
  });

  it('G91 tells of a dropped frame before the next is published, so that who leaves there has no gap', async () => {
    const server = await rig();
    const slow = await server.connect();
    const fast = await server.connect();
    server.on.dropped = (socket) => socket.leave('t');
    server.sockets.forEach((socket) => socket.join('t'));
    slow.ws.pause();
    let published = 0;
    for (; published < 1_000; published++) {
      if (published % 10 === 9) await until('the fast one', () => fast.received.length === published);
      // Of many sizes: small ones go through where a large one did not.
      const bytes = new Uint8Array(published % 3 === 0 ? 100 : 50_000).fill(32);
      bytes.set(text(String(published)));
      server.transport.publish('t', bytes);
    }
    slow.ws.resume();
    await until('it has read', () => server.sockets[0]?.bufferedBytes() === 0);
    server.sockets[0]?.send(text('end'));
    await until('the end', () => slow.received.at(-1) === 'end' && fast.received.length === published);
    const numbers = slow.received.slice(0, -1).map((one) => Number(one.trim()));
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(numbers.length).toBeLessThan(published);
  }, 60_000);

  for (const bytes of [1_000, 50_000]) {
    it(`G35 reports a slow member of a topic once per turn, who may be closed there (${bytes} bytes)`, async () => {
      const server = await rig();
      const slow = await server.connect();
      const fast = await server.connect();
      const seen: number[] = [];
      server.on.dropped = (socket) => {
        seen.push(socket.id);
        socket.terminate();
      };
      server.sockets.forEach((socket) => socket.join('t'));
      slow.ws.pause();
      let published = 0;
      while (seen.length === 0 && published < 40_000) {
        const most = Math.max(1, 100_000 / bytes);
        for (let index = 0; index < most; index++, published++)
          server.transport.publish('t', frame.slice(0, bytes));
        await until('the fast one', () => fast.received.length === published);
      }
      expect(seen).toEqual([server.sockets[0]?.id]);
      expect(server.events.at(-1)).toBe('close 1006');
      server.transport.publish('t', text('on'));
      await until('the fast one goes on', () => fast.received.at(-1) === 'on');
      slow.ws.terminate();
    });
  }
}

function requests(rig: () => Promise<Rig>): void {
  it('G36 answers GET and HEAD, later too, and nothing else', async () => {
    const server = await rig();
    const url = `http://127.0.0.1:${server.port}/healthz?x=1`;
    server.on.http = async ({ path, query, header, address }) => {
      const seen = `${path} ${query.get('x')} ${header('x-agent')} ${address}`;
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (path === '/bug') throw new Error('bug');
      return { status: 503, contentType: 'text/x', body: `é ${seen}` };
    };
    const reply = await fetch(url, { headers: { 'X-Agent': 'me' } });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([503, 'text/x']);
    expect(await reply.text()).toBe('é /healthz 1 me 127.0.0.1');
    const headed = await fetch(url, { method: 'HEAD' });
    expect([headed.status, headed.headers.get('content-length'), await headed.text()]).toEqual([
      503,
      '24',
      '',
    ]);
    expect(
      (await fetch(url, { method: 'POST', body: 'x'.repeat(50_000) }).catch(() => ({ status: 405 }))).status,
    ).toBe(405);
    expect((await fetch(`http://127.0.0.1:${server.port}/bug`)).status).toBe(500);
    const gone = await raw(server.port, 'GET /late HTTP/1.1\r\nHost: x\r\n\r\n');
    gone.stream.destroy();
    expect((await fetch(url)).status).toBe(503);
  });

  it('G37 shows path, query, headers and address to upgrade, and answers an offered subprotocol', async () => {
    const server = await rig();
    const client = await server.connect('/doc?token=a%20b', ['one', 'two'], { 'X-Agent': 'me' });
    expect(client.ws.protocol).toBe('two');
    expect(server.requests).toEqual([{ path: '/doc', user: 'a b', agent: 'me', address: '127.0.0.1' }]);
    server.on.upgrade = () => ({ accept: true, protocol: 'unasked', context: '' });
    expect((await server.connect('/', ['one']).catch(() => undefined))?.ws.protocol ?? '').toBe('');
    expect((await server.connect('/')).ws.protocol).toBe('');
  });

  it('G121 reads a header of several lines as one list, the way they came', async () => {
    const server = await rig();
    const seen: string[] = [];
    server.on.upgrade = (request) => {
      seen.push(request.header('x-forwarded-for'), request.header('host'), request.header('x-none'));
      return { accept: false, status: 403, body: '' };
    };
    const lines =
      'Host: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Other: 1\r\nx-forwarded-for: 5.6.7.8, 9.9.9.9\r\n';
    await (
      await raw(server.port, head('/').replace('Host: x\r\n', lines))
    ).ended;
    expect(seen).toEqual(['1.2.3.4, 5.6.7.8, 9.9.9.9', 'x', '']);
  });

  it('G37 refuses an upgrade with the status and body of the handler, or 500 when it throws', async () => {
    const server = await rig();
    await expect(server.connect('/refuse')).rejects.toThrow('403');
    const refused = await raw(server.port, head('/refuse'));
    expect(await refused.ended).toMatch(/^HTTP\/1\.1 403 [\s\S]*\r\n\r\nno$/);
    server.on.upgrade = () => {
      throw new Error('bug');
    };
    await expect(server.connect('/')).rejects.toThrow('500');
    expect(server.events).toEqual([]);
  });

  it('G32 survives garbage', async () => {
    const server = await rig();
    for (const bytes of [
      '\u0000\u0001\u0002\u0003\r\n\r\n',
      'HELLO\r\n\r\n',
      'GET //\r\n\r\n',
      `${head('/')}\u00ff\u00ff\u00ff\u00ff`,
    ]) {
      const stranger = await raw(server.port, bytes);
      stranger.stream.end();
      await stranger.ended;
    }
    expect(await (await fetch(`http://127.0.0.1:${server.port}/a`)).text()).toBe('page /a');
  });
}

function lifetime(rig: () => Promise<Rig>, make: Make): void {
  const idle: TransportHandlers<string> = {
    upgrade: () => ({ accept: false, status: 404, body: '' }),
    open() {},
    message() {},
    drain() {},
    dropped() {},
    close() {},
    http: async ({ path }) => page(path),
  };

  it('G38 refuses a taken port by name and can be closed after it', async () => {
    const server = await rig();
    const second = await make(limits, idle);
    const failure = second.listen('127.0.0.1', server.port);
    await expect(failure).rejects.toThrow(`127.0.0.1:${server.port}`);
    await expect(failure).rejects.toThrow('SYNC_PORT');
    await second.close();
  });

  it('G38 stopListening refuses new sockets and keeps the open ones', async () => {
    const server = await rig();
    server.on.message = (socket, bytes) => socket.send(bytes);
    const client = await server.connect();
    server.transport.stopListening();
    server.transport.stopListening();
    await expect(server.connect()).rejects.toThrow();
    client.ws.send(text('still'));
    await until('an echo', () => client.received.length === 1);
  });

  it('G38 close ends every socket, and a second close is harmless', async () => {
    const server = await rig();
    const clients = [await server.connect(), await server.connect()];
    const halfway = await raw(server.port, 'GET / HTTP/1.1\r\n');
    await server.transport.close();
    expect(server.events.filter((event) => event === 'close 1006')).toHaveLength(2);
    for (const client of clients) expect((await client.closed).code).toBe(1006);
    await halfway.ended;
    server.transport.publish('t', text('x'));
    await server.transport.close();
  });

  it('G38 listens on a fixed port again right after a close that cut sockets', async () => {
    // Not a port that 0 gave: such a listener lets its closed connections block the port for a minute (uWS).
    let port = 20_000 + (process.pid % 10_000);
    const accepting: TransportHandlers<string> = {
      ...idle,
      upgrade: () => ({ accept: true, protocol: '', context: '' }),
    };
    let transport = await make(limits, accepting);
    for (let bound = 0; bound === 0; port += bound ? 0 : 1) {
      bound = await transport.listen('127.0.0.1', port).catch(() => 0);
    }
    const client = await openClient(port, '/', [], {});
    await transport.close();
    await client.closed;
    transport = await make(limits, accepting);
    expect(await transport.listen('127.0.0.1', port)).toBe(port);
    await transport.close();
  });

  it.runIf(process.env['OCTAVO_TEST_LONG'])('pings, keeps who answers and cuts who is silent', async () => {
    const events: string[] = [];
    const transport = await make(
      { ...limits, idleSeconds: 8 },
      {
        ...idle,
        upgrade: (request) => ({ accept: true, protocol: '', context: request.path }),
        open: (socket, context) => void events.push(`${socket.id} ${context}`),
        close: (socket, code) => void events.push(`${socket.id} closed ${code}`),
      },
    );
    const port = await transport.listen('127.0.0.1', 0);
    const lively = await openClient(port, '/lively', [], {});
    const silent = await raw(port, head('/silent'));
    await silent.ended;
    const silentId = events.find((event) => event.endsWith('/silent'))?.split(' ')[0];
    expect(events.at(-1)).toBe(`${silentId} closed 1006`);
    expect(lively.ws.readyState).toBe(WebSocket.OPEN);
    await transport.close();
  });
}
