/**
 * Sees every frame that a node sends, when it leaves, and everything that the SDK calls durable, and looks it up in the
 * database at that very moment: what is shown as durable is in the log, exactly so.
 */
import { sameBytes } from '../../src/base/bytes.ts';
import type { MemoryDatabase } from '../../src/persistence/memory-log-store.ts';
import type { LogEntry } from '../../src/persistence/log-store.ts';
import { decodeServerMessage, isMalformed } from '../../src/protocol/decode.ts';
import type { PageId, ReplicaId, Seq } from '../../src/protocol/ids.ts';
import type { ServerMessage, WireChange } from '../../src/protocol/messages.ts';
import { SimFailure } from './journal.ts';

export class Witness {
  /** Whether anything was told before its commit. */
  toldEarly = false;
  readonly #database: MemoryDatabase;
  readonly #failed: (error: unknown) => void;

  constructor(database: MemoryDatabase, failed: (error: unknown) => void) {
    this.#database = database;
    this.#failed = failed;
  }

  #log(page: PageId): readonly LogEntry[] {
    return this.#database.pages.get(page)?.log ?? [];
  }

  #fail(check: string, detail: string): void {
    this.#failed(new SimFailure(check, detail));
  }

  sent(bytes: Uint8Array): void {
    const message = decodeServerMessage(bytes);
    if (isMalformed(message)) return this.#fail('malformed frame', message.malformed);
    if (message.kind === 'changes') this.#changes(message);
    else if (message.kind === 'committed') this.#committed(message);
    else if (message.kind === 'ack') this.#ack(message);
  }

  #changes({ page, firstSeq, changes }: ServerMessage & { kind: 'changes' }): void {
    // First seq 0: told before its commit, and said to be so.
    if (firstSeq === 0) {
      this.toldEarly = true;
      return;
    }
    const log = this.#log(page);
    changes.forEach((change, i) => {
      const logged = log[firstSeq - 1 + i];
      if (!logged) this.#fail('told before it was durable', `seq ${firstSeq + i} of ${page}: ${change.replica} n ${change.n}`); // prettier-ignore
      else if (!isSame(logged, change)) this.#fail('told otherwise than logged', `seq ${firstSeq + i} of ${page}: ${change.replica} n ${change.n}; the log has ${logged.replica} n ${logged.n}`); // prettier-ignore
    });
  }

  #committed({ page, firstSeq, changes }: ServerMessage & { kind: 'committed' }): void {
    if (firstSeq === 0) return;
    const log = this.#log(page);
    changes.forEach(({ replica, n, hlc }, i) => {
      const logged = log[firstSeq - 1 + i];
      if (logged?.replica !== replica || logged.n !== n || logged.hlcMs !== hlc.ms || logged.hlcCounter !== hlc.counter) this.#fail('named as committed, and not in the log', `seq ${firstSeq + i} of ${page}: ${replica} n ${n}`); // prettier-ignore
    });
  }

  #ack({ replica, n, seq }: ServerMessage & { kind: 'ack' }): void {
    for (const { log } of this.#database.pages.values()) {
      const logged = log[seq - 1];
      if (logged?.replica === replica && logged.n === n) return;
    }
    this.#fail('acknowledged before it was durable', `${replica} n ${n} at seq ${seq}`);
  }

  /** The SDK has told the application that its change is durable. */
  confirmed(page: PageId, replica: ReplicaId, n: number, seq: Seq | null): void {
    const log = this.#log(page);
    if (seq !== null) {
      const logged = log[seq - 1];
      if (logged?.replica === replica && logged.n === n) return;
      return this.#fail('confirmed at a wrong seq', `${replica} n ${n} at seq ${seq} of ${page}`);
    }
    for (let i = log.length - 1; i >= 0; i--) if (log[i]!.replica === replica && log[i]!.n === n) return;
    this.#fail('confirmed before it was durable', `${replica} n ${n} of ${page}`);
  }
}

function isSame(logged: LogEntry, { replica, n, hlc, author, ops }: WireChange): boolean {
  return (
    logged.replica === replica &&
    logged.n === n &&
    logged.hlcMs === hlc.ms &&
    logged.hlcCounter === hlc.counter &&
    logged.author === author &&
    sameBytes(logged.body, ops)
  );
}
