/**
 * What happened in a run, as a hash: two runs of one seed must give the same. With `print` also as lines to read.
 */
import { decodeClientMessage, decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import { decodeOps } from '../../src/document/ops.ts';
import type { Timeline } from './timeline.ts';

export class Trace {
  readonly #timeline: Timeline;
  readonly #print: ((line: string) => void) | null;
  #hash = 0x811c9dc5;

  constructor(timeline: Timeline, print: ((line: string) => void) | null = null) {
    this.#timeline = timeline;
    this.#print = print;
  }

  get hash(): number {
    return this.#hash >>> 0;
  }

  #add(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
    this.#hash ^= this.#hash >>> 15;
  }

  #addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.#add(text.charCodeAt(i));
  }

  note(what: string, ...details: (number | string)[]): void {
    this.#addText(what);
    this.#add(this.#timeline.now * 1000);
    for (const detail of details) {
      if (typeof detail === 'number') this.#add(detail * 8);
      else this.#addText(detail);
    }
    if (this.#print) this.#line(`${what} ${details.join(' ')}`);
  }

  frame(direction: 'up' | 'down', connection: number, bytes: Uint8Array): void {
    this.#add(connection);
    this.#add(this.#timeline.now * 1000);
    for (let i = 0; i < bytes.length; i++) this.#add(bytes[i]!);
    if (this.#print) this.#line(`${direction === 'up' ? '→' : '←'} #${connection} ${describe(direction, bytes)}`);
  } // prettier-ignore

  #line(text: string): void {
    this.#print!(`${this.#timeline.now.toFixed(2).padStart(11)}  ${text}`);
  }
}

function describe(direction: 'up' | 'down', bytes: Uint8Array): string {
  const message = direction === 'up' ? decodeClientMessage(bytes) : decodeServerMessage(bytes);
  if (isMalformed(message)) return `malformed: ${message.malformed}`;
  const short = (key: string, value: unknown) => {
    if (key === 'ops' && value instanceof Uint8Array) return `${opsIn(value)} ${hashOf(value)}`;
    if (typeof value === 'string' && value.length === 36) return value.slice(-8);
    if (value instanceof Uint8Array) return `${value.length} bytes ${hashOf(value)}`;
    if (typeof value === 'object' && value !== null && 'messageBytesMax' in value) return '…';
    return value;
  };
  return JSON.stringify(message, short);
}

const opsIn = (body: Uint8Array): string => {
  const ops = decodeOps(body);
  if ('malformed' in ops) return ops.malformed;
  return ops.map((op) => ['op', 'block', 'parent'].map((key) => String((op as never)[key] ?? '').slice(-8)).join(' ').trim()).join(', ');
}; // prettier-ignore

function hashOf(bytes: Uint8Array): string {
  let hash = 0;
  for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) | 0;
  return (hash >>> 0).toString(16);
}
