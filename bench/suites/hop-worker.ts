/**
 * The far side of the `hop` suite: reads every record of a batch and sends it back in a batch of its own, as a shard
 * that answers each frame with one would.
 */
import { parentPort } from 'node:worker_threads';
import { EnvelopeWriter, FROM_SHARD, readEnvelope } from '../../src/workers/envelope.ts';
import { must } from '../lib/must.ts';

const port = parentPort;
must(port, 'this file runs in a worker thread');
const out = new EnvelopeWriter();

port.on('message', (batch: Uint8Array) => {
  readEnvelope(batch, (_type, connection, bytes) => out.add(FROM_SHARD.send, connection, bytes));
  const answer = out.take();
  port.postMessage(answer, [answer.buffer as ArrayBuffer]);
});
