/**
 * Loaded into a server's threads by NODE_OPTIONS=--require: when the file OCTAVO_TEST_MISBEHAVE.<shard> is there, that
 * shard does what it says. So a real server's shard can be made to die in every way, with nothing for it in the product.
 */
const { readFileSync, rmSync } = require('node:fs');
const { isMainThread, workerData } = require('node:worker_threads');

const WAYS = {
  throw() {
    throw new Error('planted: thrown');
  },
  reject() {
    void Promise.reject(new Error('planted: rejected'));
  },
  hang() {
    for (;;);
  },
  heap() {
    for (const kept = []; ;) kept.push(Array.from({ length: 1000 }, (_, i) => ({ i })));
  },
};

const trigger = process.env.OCTAVO_TEST_MISBEHAVE;
if (trigger && !isMainThread && typeof workerData?.index === 'number') {
  const file = `${trigger}.${workerData.index}`;
  const look = () => {
    let way;
    try {
      way = readFileSync(file, 'utf8');
      rmSync(file);
    } catch {
      // Not asked yet.
      return;
    }
    WAYS[way]();
  };
  setInterval(look, 10).unref();
}
