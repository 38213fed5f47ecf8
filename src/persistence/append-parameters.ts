/**
 * Turns the batches of an append into the parameters of the APPEND statement (sql/append.ts), and checks what every
 * twin of the port relies on. The bytes of all bodies are copied here, at the call: the caller may reuse its buffers
 * as soon as `append` has returned its promise.
 */
import type { Buffer } from 'node:buffer';
import { assert } from '../base/assert.ts';
import type { AppendBatch, StoredChange } from './log-store.ts';
import { byteaArray, int4Array, int8Array, textArray, uuidArray } from './binary-array.ts';

/** A batch without changes or a page named twice is a bug of the caller; both twins find it alike. */
export function assertBatches(batches: readonly AppendBatch[]): void {
  const pages = new Set<string>();
  for (const { page, changes } of batches) {
    assert(changes.length > 0, 'an append batch needs a change');
    pages.add(page);
  }
  assert(pages.size === batches.length, 'an append names each page once');
}

export function appendParameters(batches: readonly AppendBatch[]): Buffer[] {
  const changes: StoredChange[] = [];
  const batchOf: number[] = [];
  const ordinalOf: number[] = [];
  for (let b = 0; b < batches.length; b++) {
    const own = batches[b]!.changes;
    for (let i = 0; i < own.length; i++) {
      changes.push(own[i]!);
      // SQL counts from 1: batches by `with ordinality`, and the first change of a page is seq 1.
      batchOf.push(b + 1);
      ordinalOf.push(i + 1);
    }
  }
  const count = changes.length;
  return [
    uuidArray(batches.length, (i) => batches[i]!.page),
    uuidArray(batches.length, (i) => batches[i]!.epoch),
    int8Array(batches.length, (i) => batches[i]!.known),
    int4Array(batches.length, (i) => batches[i]!.changes.length),
    int4Array(count, (i) => batchOf[i]!),
    int4Array(count, (i) => ordinalOf[i]!),
    uuidArray(count, (i) => changes[i]!.replica),
    int8Array(count, (i) => changes[i]!.n),
    int8Array(count, (i) => changes[i]!.hlcMs),
    int4Array(count, (i) => changes[i]!.hlcCounter),
    textArray(count, (i) => changes[i]!.author),
    int8Array(count, (i) => changes[i]!.at),
    byteaArray(count, (i) => changes[i]!.body),
  ];
}
