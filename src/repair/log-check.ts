/**
 * Reads a page's log from its beginning, one entry after the other, and says what is wrong with it: a pure fold. What it
 * holds is the page's state at the last entry, as a server would have it; memory is bounded by the page, not by its log.
 *
 * Checked of every entry: seq follows without a gap; n follows within its replica, and the replica has one owner; the
 * stamp is one; the body decodes and applies. A log row has no checksum of its own: a body whose bits have changed and
 * that still decodes is not noticed here, except where it contradicts a snapshot (PostgreSQL's data checksums see it).
 */
import { BlocksModel } from '../document/blocks-model.ts';
import type { Op } from '../document/ops.ts';
import { encodePrivateState, type ReplicaRecord } from '../actors/replicas.ts';
import type { LogEntry, PageKind } from '../persistence/log-store.ts';
import { isMalformed } from '../protocol/decode.ts';
import { type PageId, type ReplicaId, seq, type Seq } from '../protocol/ids.ts';
import { type Limits, WIRE } from '../protocol/limits.ts';

export interface Fault {
  /** The seq at which it shows; null: of the page as a whole. */
  readonly seq: number | null;
  readonly what: string;
}

/** What is kept of the faults; all are counted. */
const FAULTS_KEPT = 100;

export class LogCheck {
  readonly model: BlocksModel;
  readonly replicas = new Map<ReplicaId, ReplicaRecord>();
  latestMs = 0;
  at: Seq = seq(0);
  /** Nothing that can be wrong was found so far. */
  readonly faults: Fault[] = [];
  faultCount = 0;
  /** Seqs of ops that this version does not know: a newer server wrote them, and the state is not ours to judge. */
  unknownFrom: Seq | null = null;
  /** Ops that had no effect at their place in the log: no fault. */
  withoutEffect = 0;
  readonly #kind: PageKind;

  constructor(page: PageId, kind: PageKind, limits: Limits) {
    this.#kind = kind;
    this.model = new BlocksModel(page, limits);
  }

  /** Whether the state is the fold of the whole log up to `at`, and known in full. */
  get isWhole(): boolean {
    return this.faultCount === 0 && this.unknownFrom === null && this.#kind === 'blocks';
  }

  fault(at: number | null, what: string): void {
    this.faultCount++;
    if (this.faults.length < FAULTS_KEPT) this.faults.push({ seq: at, what });
  }

  add(entry: LogEntry): void {
    if (entry.seq <= this.at)
      return this.fault(entry.seq, `seq ${entry.seq} comes after ${this.at}; seqs count from 1`);
    this.#follow(entry.seq);
    this.#note(entry);
    if (this.#kind === 'blocks') this.#apply(entry);
  }

  #follow(next: Seq): void {
    const [from, to] = [this.at + 1, next - 1];
    if (from <= to)
      this.fault(from, `the log lacks ${from === to ? `change ${from}` : `changes ${from} to ${to}`}`);
    this.at = next;
  }

  #note({ seq: at, replica, n, author, hlcMs, hlcCounter }: LogEntry): void {
    const stampIsGood = isUint(hlcMs, WIRE.hlcMsMax) && isUint(hlcCounter, WIRE.hlcCounterMax);
    if (!stampIsGood) this.fault(at, `the stamp [${hlcMs}, ${hlcCounter}] is none`);
    else if (hlcMs > this.latestMs) this.latestMs = hlcMs;
    const record = this.replicas.get(replica);
    const wanted = (record?.lastN ?? 0) + 1;
    if (n !== wanted) this.fault(at, `n is ${n}, but ${wanted} is the next of replica ${replica}`);
    const lastHlc = { ms: hlcMs, counter: hlcCounter };
    if (!record) this.replicas.set(replica, { owner: author, lastN: n, lastSeq: at, lastHlc });
    else {
      if (record.owner !== author)
        this.fault(at, `replica ${replica} belongs to ${name(record.owner)}, not to ${name(author)}`);
      record.lastN = n;
      record.lastSeq = at;
      record.lastHlc = lastHlc;
    }
  }

  #apply({ seq: at, body, hlcMs, hlcCounter, replica, author }: LogEntry): void {
    const ops = this.model.decode(body);
    if (isMalformed(ops)) return this.fault(at, `the body cannot be read: ${ops.malformed}`);
    if (ops.some(({ op }) => op === 'unknown')) this.unknownFrom ??= at;
    try {
      const stamp = { ms: hlcMs, counter: hlcCounter, replica };
      this.withoutEffect += this.model.apply(ops satisfies Op[], stamp, author).length;
    } catch (error) {
      // A bug, or bytes that no server would have let in: the server that loads this page fails in the same way.
      this.fault(at, `the body cannot be applied: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** The server's own part of a snapshot at this place. */
  encodePrivate(): Uint8Array {
    const model = this.model.encodePrivate();
    return encodePrivateState({ replicas: this.replicas, latestMs: this.latestMs, model });
  }
}

const isUint = (value: number, max: number) => Number.isInteger(value) && value >= 0 && value <= max;
const name = (user: string) => (user === '' ? 'the server' : JSON.stringify(user));
