/**
 * Bugs to be planted one at a time (`planted.ts`), each as an edit of the source: what it shows is that the simulation would
 * notice. `find` stands in its file exactly once; when it does not any more, the bug must be given its place again.
 */

export interface PlantedEdit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Plant {
  readonly name: string;
  readonly edits: readonly PlantedEdit[];
}

const plant = (name: string, ...edits: [file: string, find: string, replace: string][]): Plant => ({
  name,
  edits: edits.map(([file, find, replace]) => ({ file: `src/${file}`, find, replace })),
});

export const plants: readonly Plant[] = [
  plant(
    'ack-before-commit',
    [
      'actors/commit-pipeline.ts',
      "    this.#world.counts.change('accepted', model.kindOf(decoded));\n",
      "    this.#world.counts.change('accepted', model.kindOf(decoded));\n    const place = seq(this.#state.head + this.#queue.length);\n    this.#world.send(connection, encodeServerMessage({ kind: 'ack', ch: this.#audience.get(connection)!.ch, n, seq: place, replica }));\n",
    ],
    [
      'actors/commit-pipeline.ts',
      "import { isMalformed } from '../protocol/decode.ts';\n",
      "import { isMalformed } from '../protocol/decode.ts';\nimport { encodeServerMessage } from '../protocol/encode.ts';\n",
    ],
  ),
  plant('applied-before-append', [
    'actors/commit-pipeline.ts',
    "    this.#world.counts.change('accepted', model.kindOf(decoded));\n",
    "    this.#world.counts.change('accepted', model.kindOf(decoded));\n    this.#state.model.apply(decoded, { ms: hlc.ms, counter: hlc.counter, replica }, author);\n",
  ]),
  plant('no-dedupe-after-unknown-outcome', [
    'actors/settling.ts',
    "if (logged?.owner === change.author && change.n <= logged.lastN) return { standing: 'logged' };",
    "if (logged?.owner === change.author && change.n <= logged.lastN) return { standing: 'follows' };",
  ]),
  plant('head-not-compared', [
    'persistence/memory-log-store.ts',
    'if (found === undefined || found.closed || found.log.length !== known) continue;',
    'if (found === undefined || found.closed) continue;',
  ]),
  plant('resume-off-by-one', [
    'actors/recent-log.ts',
    'return this.#entries.slice(position - this.#after);',
    'return this.#entries.slice(position - this.#after + (position > this.#after ? 1 : 0));',
  ]),
  plant('hlc-not-merged-on-receive', [
    'client/replica.ts',
    '    this.clock.observe(stamp);\n    const high',
    '    const high',
  ]),
  plant('cycle-checked-on-arrival', [
    'client/replica.ts',
    "    if (op.op === 'unknown') return this.#confirmed.apply(op, stamp);\n",
    "    if (op.op === 'unknown') return this.#confirmed.apply(op, stamp);\n    if (op.op === 'move' && heard && this.#view.isWithin(op.parent, op.block)) return 'cycle';\n",
  ]),
  plant('snapshot-with-queue', [
    'actors/commit-pipeline.ts',
    "    this.#phase = 'committing';\n",
    "    this.#phase = 'committing';\n    for (const { change, decoded } of this.#queue.all) this.#state.model.apply(decoded, { ms: change.hlcMs, counter: change.hlcCounter, replica: change.replica }, change.author);\n",
  ]),
  plant(
    'hole-in-n-after-refusal',
    ['actors/admission.ts', 'if (facts.n !== lastN + 1)', 'if (facts.n > lastN + 16)'],
    ['actors/admission.ts', 'if (facts.isBehindRefusal)', 'if (facts.isBehindRefusal && facts.n < 0)'],
  ),
  plant('last-n-not-in-snapshot', [
    'actors/replicas.ts',
    'w.array(4).int(state.latestMs).array(state.replicas.size);\n  for (const [replica, { owner, lastN, lastSeq }] of state.replicas) {',
    'w.array(3).int(state.latestMs).array(0);\n  for (const [replica, { owner, lastN, lastSeq }] of [] as [ReplicaId, ReplicaRecord][]) {',
  ]),
  plant(
    'text-that-does-not-continue-is-stored',
    [
      'document/blocks-model.ts',
      'if (this.table.isWhole && !continues(shape, (client) => queued.clockOf(client, text))) {',
      'if (shape.from > 1e9) {',
    ],
    [
      'document/block-text.ts',
      'if (!continues(shape, (client) => this.clockOf(client))) return false;',
      'if (shape.from > 1e9) return false;',
    ],
  ),
  plant('text-of-deleted-block-dropped', [
    'document/snapshot-block.ts',
    'const { text } = block;',
    'const text = block.deleted ? null : block.text;',
  ]),
  plant('snapshot-forgets-removed-props', [
    'document/snapshot-block.ts',
    'w.str(block.key).int(stampIndex(block.placeStamp))',
    'for (const [key, prop] of block.props) if (prop.value === null) block.props.delete(key);\n  w.str(block.key).int(stampIndex(block.placeStamp))',
  ]),
  plant('topic-never-joined', [
    'actors/joining.ts',
    'this.start(subscriber, since, { at, isBack: since !== null });\n    this.#audience.joinTopic(subscriber);\n',
    'this.start(subscriber, since, { at, isBack: since !== null });\n',
  ]),
  plant('pending-not-sent-again', [
    'client/outbox.ts',
    'if (first) this.#inFlight = Math.max(0, Math.min(this.#inFlight, n - first.n));',
    'if (first && n > 0) this.#inFlight = Math.max(0, Math.min(this.#inFlight, n - first.n));',
  ]),
  plant('closed-settle-drops-queue', [
    'actors/commit-pipeline.ts',
    "    this.#phase = 'settling';\n",
    "    this.#phase = 'settling';\n    this.#queue.retain(() => false);\n",
  ]),
  plant('volatile-counted-as-durable', [
    'client/replica.ts',
    '      if (change.replica === this.id) continue;\n',
    '      if (change.replica === this.id) this.outbox.confirmTo(change.n);\n      if (change.replica === this.id) continue;\n',
  ]),
  plant('volatile-lost-with-its-node', [
    'actors/change-queue.ts',
    'if (!queued.foreign) continue;',
    'if (!queued.foreign || queued.change.n > 0) continue;',
  ]),
  plant('withdrawal-never-told', [
    'actors/commit-pipeline.ts',
    'if (own.length > 0) this.fuse.everywhere(withdrawnFrame(this.#page, own));',
    'if (own.length > 1e9) this.fuse.everywhere(withdrawnFrame(this.#page, own));',
  ]),
  plant('lost-tail-never-repaired', [
    'workers/other-nodes.ts',
    'else if (!this.#closed) void this.#poll();',
    'else if (this.#closed) void this.#poll();',
  ]),
];

/** Edits whose place is not there, or not alone. */
export function misplaced(read: (file: string) => string): string[] {
  return plants.flatMap(({ name, edits }) =>
    edits.flatMap(({ file, find }) => {
      const count = read(file).split(find).length - 1;
      return count === 1 ? [] : [`${name}: ${count} times in ${file}: ${JSON.stringify(find)}`];
    }),
  );
}
