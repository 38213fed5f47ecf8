/**
 * Whether a stored snapshot is what the log makes at its seq: its checksum, its shape, the tree with every register and
 * text, and the server's own part (last n and owner of each replica, owners of Yjs client ids, the highest stamp).
 */
import { sameBytes } from '../base/bytes.ts';
import { threadedCompression } from '../actors/compression.ts';
import { decodePrivateState, type PrivateState } from '../actors/replicas.ts';
import { BlocksModel } from '../document/blocks-model.ts';
import { tableDifferences } from '../document/compare-tables.ts';
import { MODEL_VERSION } from '../document/snapshot.ts';
import { hashHex } from '../document/state-hash.ts';
import type { FoundSnapshot } from '../persistence/repair-store.ts';
import type { PageId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { LogCheck } from './log-check.ts';

/**
 * `good`; `damaged`: its bytes; `wrong`: good bytes, but not what the log says; `other_version`: of another version of
 * the model, which this one neither reads nor needs; `unchecked`: the log up to it is not whole.
 */
export type SnapshotVerdict = 'good' | 'damaged' | 'wrong' | 'other_version' | 'unchecked';

export interface SnapshotReport {
  readonly seq: number;
  readonly verdict: SnapshotVerdict;
  readonly why: readonly string[];
}

const SNAPSHOT_BYTES_MAX = 1 << 30;
const DIFFERENCES_MAX = 10;

/** `check` stands at the snapshot's seq, or past it where the log has a gap there, or before it at the log's end. */
export async function checkStoredSnapshot(
  page: PageId,
  stored: FoundSnapshot,
  check: LogCheck,
  limits: Limits,
): Promise<SnapshotReport> {
  const report = (verdict: SnapshotVerdict, ...why: string[]) => ({ seq: stored.seq, verdict, why });
  if (stored.seq > check.at) return report('wrong', `it is of seq ${stored.seq}, but the log ends at ${check.at}`);
  if (!stored.checksumGood) return report('damaged', 'the checksum does not fit');
  if (stored.modelVersion !== MODEL_VERSION) {
    return report('other_version', `model version ${stored.modelVersion}; this one is ${MODEL_VERSION}`);
  }
  let model: BlocksModel;
  let own: PrivateState;
  try {
    own = decodePrivateState(stored.private);
    const plain = await threadedCompression.unpack(stored.body, SNAPSHOT_BYTES_MAX);
    model = new BlocksModel(page, limits, { snapshot: plain, private: own.model });
  } catch (error) {
    // Whatever it is that cannot be read, a server cannot use it either.
    return report('damaged', `it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!check.isWhole) return report('unchecked', 'the log up to it cannot be folded, so there is nothing to compare it with');
  const differences = [
    ...tableDifferences(model.table, check.model.table, DIFFERENCES_MAX),
    ...privateDifferences(own, model, check),
  ];
  if (differences.length === 0) differences.push(...hashDifferences(model, check.model));
  return differences.length === 0 ? report('good') : report('wrong', ...differences.slice(0, DIFFERENCES_MAX));
} // prettier-ignore

/** What merged texts do not show: the chains of their updates. A wrong one would raise false alarms with every client. */
function hashDifferences(found: BlocksModel, wanted: BlocksModel): string[] {
  const [is, should] = [found.stateHash(), wanted.stateHash()];
  if (!is || !should || sameBytes(is, should)) return [];
  return [`the hash of the state is ${hashHex(is)}, not ${hashHex(should)}: the chain of a text differs`];
}

function privateDifferences(own: PrivateState, model: BlocksModel, check: LogCheck): string[] {
  const differences: string[] = [];
  if (own.latestMs !== check.latestMs) differences.push(`the highest stamp is ${own.latestMs}, not ${check.latestMs}`);
  for (const [replica, { owner, lastN, lastSeq, lastHlc }] of check.replicas) {
    const found = own.replicas.get(replica);
    if (!found) differences.push(`replica ${replica} is missing`);
    else if (found.owner !== owner || found.lastN !== lastN || found.lastSeq !== lastSeq) {
      differences.push(`replica ${replica} is at n ${found.lastN}, seq ${found.lastSeq}, not at n ${lastN}, seq ${lastSeq}, or of another owner`);
    } else if (found.lastHlc && (found.lastHlc.ms !== lastHlc!.ms || found.lastHlc.counter !== lastHlc!.counter)) {
      differences.push(`the last stamp of replica ${replica} is [${found.lastHlc.ms}, ${found.lastHlc.counter}], not [${lastHlc!.ms}, ${lastHlc!.counter}]`);
    }
  }
  if (own.replicas.size > check.replicas.size) differences.push('replicas are named that never wrote');
  const [owners, wanted] = [model.yjsOwners, check.model.yjsOwners];
  const same = owners.size === wanted.size && [...wanted].every(([client, owner]) => owners.get(client) === owner);
  if (!same) differences.push('the owners of Yjs client ids differ');
  return differences;
} // prettier-ignore
