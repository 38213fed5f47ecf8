/**
 * How much memory things take: V8's heap and the buffers beside it, after garbage collection. In this process, so what is
 * measured must be made here.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sleep } from '../../src/base/time.ts';

let collect: (() => void) | undefined;

function usedBytes(): number {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  // Twice: buffers are freed by the collection after the one that lost their last view.
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const TURN_MS = 20;
const TURNS_MAX = 50;
const SAME_BYTES = 4096;

/**
 * The same when two readings agree: what suites before this one have left (sockets, streams of zlib) goes over some turns of the
 * event loop, and would be missing from what is measured meanwhile.
 */
async function settledBytes(): Promise<number> {
  let last = usedBytes();
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    await sleep(TURN_MS);
    const now = usedBytes();
    if (Math.abs(now - last) < SAME_BYTES) return now;
    last = now;
  }
  return last;
}

/** Bytes that each of `count` things takes, and the things themselves. */
export async function bytesOfEach<T>(count: number, make: (i: number) => T | Promise<T>): Promise<{ bytes: number; made: T[] }> {
  const made: T[] = [];
  const before = await settledBytes();
  for (let i = 0; i < count; i++) made.push(await make(i));
  return { bytes: ((await settledBytes()) - before) / count, made };
} // prettier-ignore
