/**
 * The stamps of a snapshot, as places in its bytes: `replicas: [id …], stamps: [[ms, counter, replica index] …]`. A page has
 * about as many as it has seen changes that still show, and a decoded one takes 64 bytes where it takes a dozen here.
 */
import { bytesToId, ID_BYTES, type ReplicaId } from '../protocol/ids.ts';
import { WIRE } from '../protocol/limits.ts';
import { MsgpackError, MsgpackReader } from '../protocol/msgpack-reader.ts';
import { type Stamp, ZERO_STAMP } from './hlc.ts';

/** Of a bin of 16 bytes, before them. */
const ID_HEAD_BYTES = 2;

export class StoredStamps {
  readonly #bytes: Uint8Array;
  readonly #replicasFrom: number;
  readonly #replicaCount: number;
  readonly #offsets: Int32Array;

  /** Reads past them. Throws `MsgpackError` if they are of another shape. */
  constructor(r: MsgpackReader) {
    this.#bytes = r.bytes;
    this.#replicaCount = r.array();
    this.#replicasFrom = r.offset;
    for (let left = this.#replicaCount; left > 0; left--) r.id();
    this.#offsets = new Int32Array(r.array());
    for (let i = 0; i < this.#offsets.length; i++) {
      this.#offsets[i] = r.offset;
      this.#read(r);
    }
  }

  /** About how much memory it takes, the snapshot apart. */
  get bytes(): number {
    return this.#offsets.byteLength;
  }

  /** Gives stamps by index; the same object for the same index, for as long as the reading is kept. */
  reading(): (index: number) => Stamp {
    const r = new MsgpackReader(this.#bytes);
    const known = new Map<number, Stamp>();
    return (index) => {
      let stamp = known.get(index);
      if (!stamp) {
        const at = this.#offsets[index];
        if (at === undefined) throw new MsgpackError('an unknown stamp');
        r.seek(at);
        known.set(index, (stamp = this.#read(r)));
      }
      return stamp;
    };
  }

  #read(r: MsgpackReader): Stamp {
    r.array(3);
    const [ms, counter, index] = [r.uint(WIRE.hlcMsMax), r.uint(WIRE.hlcCounterMax), r.uint()];
    if (index >= this.#replicaCount) throw new MsgpackError('a stamp of an unknown replica');
    const at = this.#replicasFrom + index * (ID_HEAD_BYTES + ID_BYTES);
    const replica = bytesToId<ReplicaId>(this.#bytes, at + ID_HEAD_BYTES);
    if (ms === 0 && counter === 0 && replica === ZERO_STAMP.replica) return ZERO_STAMP;
    return { ms, counter, replica };
  }
}
