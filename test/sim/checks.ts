/**
 * What must hold when a run is over: the log is sound and holds exactly what people made, every copy and every snapshot is
 * the fold of it, a node that starts anew finds all of it, and who saw a value wins over it.
 */
import * as Y from 'yjs';
import type { Compression } from '../../src/actors/compression.ts';
import { PageLoader } from '../../src/actors/page-loader.ts';
import { PageState } from '../../src/actors/page-state.ts';
import { decodePrivateState, type ReplicaRecord } from '../../src/actors/replicas.ts';
import { defaultSnapshotPolicy } from '../../src/actors/snapshot-policy.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemClock } from '../../src/base/time.ts';
import type { Page } from '../../src/client/index.ts';
import type { BlocksModel } from '../../src/document/blocks-model.ts';
import { BlockTable } from '../../src/document/blocks.ts';
import { decodeOps } from '../../src/document/ops.ts';
import { decodeSnapshot } from '../../src/document/snapshot.ts';
import type { LogEntry, StoredSnapshot } from '../../src/persistence/log-store.ts';
import { type MemoryDatabase, MemoryLogStore } from '../../src/persistence/memory-log-store.ts';
import type { PageId, ReplicaId, UserId } from '../../src/protocol/ids.ts';
import type { Limits } from '../../src/protocol/limits.ts';
import { logFaults } from '../support/replay.ts';
import { type Journal, opKey, SimFailure } from './journal.ts';
import { compareModelStamps, differenceOf, Model, type ModelStamp, runsOfDoc } from './model.ts';

export interface Remains {
  readonly database: MemoryDatabase;
  readonly compression: Compression;
  readonly limits: Limits;
  readonly journal: Journal;
  readonly copies: readonly { readonly name: string; readonly page: Page }[];
  readonly snapshots: readonly { readonly page: PageId; readonly snapshot: StoredSnapshot }[];
  /** Final refusals that the limits of this run may bring about. */
  readonly refusals: ReadonlySet<string>;
}

export async function checkAll(remains: Remains): Promise<void> {
  const { database, journal, refusals } = remains;
  for (const code of journal.rejectedCodes.keys()) {
    if (!refusals.has(code)) throw new SimFailure('refused without a reason', code);
  }
  for (const [page, { log }] of database.pages) await checkPage(remains, page, log);
}

async function checkPage(remains: Remains, page: PageId, log: readonly LogEntry[]): Promise<void> {
  const [fault] = logFaults(log);
  if (fault) throw new SimFailure('the log is not sound', fault);
  checkAccounts(page, log, remains.journal);
  checkCausality(page, log, remains.journal);
  const model = new Model(page);
  const snapshots = remains.snapshots.filter((one) => one.page === page);
  const known = new Known();
  for (const entry of log) {
    model.apply(entry);
    known.add(entry);
    for (const { snapshot } of snapshots) if (snapshot.seq === entry.seq) checkSnapshot(page, snapshot, model, known); // prettier-ignore
  }
  model.checkTree();
  for (const { name, page: copy } of remains.copies) {
    if (copy.id !== page) continue;
    const difference = differenceOf(copy.toJSON().root, model);
    if (difference) throw new SimFailure('a copy differs from the log', `${name}: ${difference}`);
  }
  await checkLoad(remains, page, model, known);
  model.destroy();
}

/** What the server must know of replicas and Yjs client ids. */
class Known {
  readonly replicas = new Map<ReplicaId, ReplicaRecord>();
  readonly owners = new Map<number, UserId>();
  latestMs = 0;

  add({ replica, n, seq, author, hlcMs, hlcCounter, body }: LogEntry): void {
    const lastHlc = { ms: hlcMs, counter: hlcCounter };
    this.replicas.set(replica, { owner: this.replicas.get(replica)?.owner ?? author, lastN: n, lastSeq: seq, lastHlc });
    this.latestMs = Math.max(this.latestMs, hlcMs);
    const ops = decodeOps(body);
    if ('malformed' in ops) return;
    for (const op of ops) {
      const client = op.op === 'text' ? op.shape.client : op.op === 'insert' ? (op.text?.shape.client ?? null) : null;
      if (client !== null && !this.owners.has(client)) this.owners.set(client, author);
    }
  } // prettier-ignore

  compare(replica: (id: ReplicaId) => ReplicaRecord | undefined, latestMs: number): string | null {
    for (const [id, { owner, lastN, lastSeq, lastHlc }] of this.replicas) {
      const found = replica(id);
      if (
        !found ||
        found.owner !== owner ||
        found.lastN !== lastN ||
        found.lastSeq !== lastSeq ||
        found.lastHlc?.ms !== lastHlc!.ms ||
        found.lastHlc.counter !== lastHlc!.counter
      ) {
        return `replica ${id}: ${JSON.stringify(found)}, by the log ${JSON.stringify({ owner, lastN, lastSeq, lastHlc })}`;
      }
    }
    return latestMs === this.latestMs ? null : `latest ms ${latestMs}, by the log ${this.latestMs}`;
  }
}

// ── what people made ─────────────────────────────────────────────────────────────────────────────────────────────

/** Every op that was made is in the log once, or was handed back, or was given up; and nothing else is in the log. */
function checkAccounts(page: PageId, log: readonly LogEntry[], journal: Journal): void {
  const logged = new Map<string, Map<string, number>>();
  /** Text in blocks that the log had no longer, or not yet: its author heard so, or has it back. */
  const gone = new Map<string, number>();
  const table = new BlockTable(page);
  for (const { replica, body, hlcMs: ms, hlcCounter: counter } of log) {
    const ops = decodeOps(body);
    if ('malformed' in ops) throw new SimFailure('malformed log', ops.malformed);
    let counts = logged.get(replica);
    if (!counts) logged.set(replica, (counts = new Map()));
    for (const op of ops) {
      const outcome = table.apply(op, { ms, counter, replica });
      // Text that was handed to the database lost its ground and came to nothing: its author has it back.
      if (op.op === 'text' && outcome === 'missing') continue;
      const key = opKey(op.op, 'block' in op ? op.block : null);
      if (op.op === 'text' && outcome === 'gone')
        gone.set(`${replica} ${key}`, (gone.get(`${replica} ${key}`) ?? 0) + 1);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  for (const [name, accounts] of journal.accounts) {
    const [of, replica] = name.split(' ');
    if (of !== page) continue;
    const counts = logged.get(replica!);
    const refused = [...accounts.values()].some(({ rejected }) => rejected > 0);
    for (const [key, { made, rejected, abandoned }] of accounts) {
      const count = counts?.get(key) ?? 0;
      // After a refusal text is made anew upon what is left; an edit of which nothing is left says nothing.
      const vanished = refused && key.startsWith('text ') ? made : 0;
      const kept = count - (gone.get(`${replica} ${key}`) ?? 0);
      // Refused on another connection than the one whose node stored it after all: handed back and in the log, once each.
      const both = journal.resent.has(name) ? Math.min(kept, rejected) : 0;
      if (kept + rejected - both > made) throw new SimFailure('an edit twice in the log', `${key} of ${replica}: made ${made}, in the log ${count}, handed back ${rejected}`); // prettier-ignore
      if (count + rejected + abandoned + vanished < made) throw new SimFailure('an edit lost in silence', `${key} of ${replica}: made ${made}, in the log ${count}, handed back ${rejected}, given up ${abandoned}`); // prettier-ignore
    }
  }
  for (const [replica, counts] of logged) {
    const accounts = journal.accounts.get(`${page} ${replica}`);
    for (const key of counts.keys()) if (!accounts?.has(key)) throw new SimFailure('in the log, and made by nobody', `${key} of ${replica}`); // prettier-ignore
  }
}

/**
 * A write whose writer saw another write of the same prop has the higher stamp. An undo writes a value again, whoever made
 * it, with a later stamp, and may be in the log without the write that it brings back (or before it): who saw the value
 * need not have seen the undo. So a value stands for the earliest write of it by its first writer, if that was not refused.
 */
export function checkCausality(page: PageId, log: readonly LogEntry[], journal: Journal): void {
  const stamps = new Map<string, ModelStamp>();
  const nameOf = (token: string, replica: ReplicaId) => `${token} ${replica}`;
  for (const { replica, hlcMs, hlcCounter, body } of log) {
    const ops = decodeOps(body);
    if ('malformed' in ops) continue;
    for (const op of ops) {
      if (op.op !== 'update' && op.op !== 'insert') continue;
      for (const { value } of op.props) {
        if (typeof value !== 'string') continue;
        const stamp = { ms: hlcMs, counter: hlcCounter, replica };
        const first = stamps.get(nameOf(value, replica));
        if (!first || compareModelStamps(stamp, first) < 0) stamps.set(nameOf(value, replica), stamp);
      }
    }
  }
  const stampOf = (token: string) => {
    const writer = journal.unwritten.has(token) ? undefined : journal.writers.get(token);
    return writer && stamps.get(nameOf(token, writer));
  };
  for (const { page: of, token, seen, block, key } of journal.writes) {
    const [mine, other] = [stampOf(token), seen === null ? undefined : stampOf(seen)];
    // Of two writes of one change the later wins.
    if (of !== page || !mine || !other || compareModelStamps(mine, other) >= 0) continue;
    throw new SimFailure('who saw a value does not win over it', `${token} over ${seen} at ${key} of ${block}: ${mine.ms}.${mine.counter} over ${other.ms}.${other.counter}`); // prettier-ignore
  }
}

// ── what the server keeps ────────────────────────────────────────────────────────────────────────────────────────

function checkSnapshot(page: PageId, { seq, body, private: own }: StoredSnapshot, model: Model, known: Known): void {
  const failure = (detail: string) => new SimFailure('a snapshot differs from the log', `at ${seq} of ${page}: ${detail}`);
  const table = decodeSnapshot(page, body);
  const difference = tableDifference(table, model, false);
  if (difference) throw failure(difference);
  const state = decodePrivateState(own);
  const forgotten = known.compare((id) => state.replicas.get(id), state.latestMs);
  if (forgotten) throw failure(forgotten);
} // prettier-ignore

/** A node that starts anew: the newest snapshot and the log after it give all. */
async function checkLoad({ database, compression, limits }: Remains, page: PageId, model: Model, known: Known): Promise<void> {
  const failure = (detail: string) => new SimFailure('a page loads otherwise than the log', `${page}: ${detail}`);
  const loaded = await new PageLoader({ store: new MemoryLogStore(database), limits, log: silentLog, clock: systemClock, compression }).load(page, null);
  if (!loaded) throw failure('it is absent');
  const state = new PageState(loaded, 0, defaultSnapshotPolicy, compression.unpackNow);
  const table = (state.model as BlocksModel).table;
  const difference = tableDifference(table, model, true);
  if (difference) throw failure(difference);
  const forgotten = known.compare((id) => state.replica(id), state.latestMs);
  if (forgotten) throw failure(forgotten);
} // prettier-ignore

function tableDifference(table: BlockTable, model: Model, wholeTexts: boolean): string | null {
  if (table.size !== model.blocks.size) return `${table.size} blocks, by the log ${model.blocks.size}`;
  for (const wanted of model.blocks.values()) {
    const block = table.get(wanted.id as never);
    if (!block) return `block ${wanted.id} is missing`;
    const registers: [string, unknown, ModelStamp, { value: unknown; stamp: ModelStamp }][] = [
      ['type', block.type, block.typeStamp, wanted.type],
      ['deleted', block.deleted, block.deletedStamp, wanted.deleted],
      ['parent', block.parent, block.placeStamp, { value: wanted.place.value.parent, stamp: wanted.place.stamp }],
      ['key', block.key, block.placeStamp, { value: wanted.place.value.key, stamp: wanted.place.stamp }],
    ];
    if (block.props.size !== wanted.props.size) return `block ${wanted.id} has ${block.props.size} props`;
    for (const [key, register] of wanted.props) {
      const prop = block.props.get(key);
      if (!prop) return `prop ${key} of ${wanted.id} is missing`;
      registers.push([`prop ${key}`, prop.value, prop.stamp, register]);
    }
    for (const [name, value, stamp, register] of registers) {
      const same = value === register.value || JSON.stringify(value) === JSON.stringify(register.value);
      if (!same || compareModelStamps(stamp, register.stamp) !== 0) return `${name} of ${wanted.id}: ${JSON.stringify([value, stamp])}, by the log ${JSON.stringify(register)}`; // prettier-ignore
    }
    const text = textDifference(block.text?.merged(), wanted.text, wholeTexts);
    if (text) return `text of ${wanted.id}: ${text}`;
  }
  return null;
} // prettier-ignore

/** Reading a text costs a document: of most snapshots only how far they know each writer is compared. */
function textDifference(update: Uint8Array | undefined, wanted: Y.Doc | null, whole: boolean): string | null {
  const clocks = wanted ? Y.decodeStateVector(Y.encodeStateVector(wanted)) : new Map<number, number>();
  const held = update ? Y.parseUpdateMeta(update).to : new Map<number, number>();
  for (const [client, clock] of clocks) if (held.get(client) !== clock) return `${held.get(client)} of Yjs client ${client}, by the log ${clock}`; // prettier-ignore
  if (held.size !== clocks.size) return 'it holds a Yjs client that the log lacks';
  if (!whole || !update) return null;
  const doc = new Y.Doc({ gc: false });
  Y.applyUpdate(doc, update);
  const [shown, expected] = [runsOfDoc(doc), runsOfDoc(wanted)];
  doc.destroy();
  return shown === expected ? null : `${shown}, by the log ${expected}`;
}
