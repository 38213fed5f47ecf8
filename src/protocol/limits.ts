/**
 * Every limit of the server, with its unit, its default and the environment variable that changes it. All of them are
 * sent in WELCOME, so that a client can keep within them. Relations that must hold are checked in `checkLimits`.
 */

interface LimitRow {
  readonly env: string;
  readonly value: number;
  readonly meaning: string;
}

export const LIMIT_TABLE = {
  messageBytesMax: { env: 'MESSAGE_BYTES_MAX', value: 1 << 20, meaning: 'bytes of one message from a client' },
  opsPerChangeMax: { env: 'OPS_PER_CHANGE_MAX', value: 1000, meaning: 'ops in one change' },
  propsBytesMax: { env: 'PROPS_BYTES_MAX', value: 64 << 10, meaning: 'bytes of all props of one block' },
  textCharactersMax: { env: 'TEXT_CHARACTERS_MAX', value: 1 << 20, meaning: 'characters (UTF-16 units) that show in the text of one block' },
  textBytesMax: { env: 'TEXT_BYTES_MAX', value: 4 << 20, meaning: 'bytes of the text updates of one block' },
  depthMax: { env: 'DEPTH_MAX', value: 64, meaning: 'levels of blocks below the page' },
  blocksMax: { env: 'BLOCKS_MAX', value: 100_000, meaning: 'blocks of one page, deleted ones included' },
  movedBlocksMax: { env: 'MOVED_BLOCKS_MAX', value: 10_000, meaning: 'blocks that one change may take to a deeper level' },
  presenceBytesMax: { env: 'PRESENCE_BYTES_MAX', value: 1024, meaning: 'bytes of one presence state' },
  presencePerSecond: { env: 'PRESENCE_PER_SECOND', value: 10, meaning: 'presence frames of one user, each second' },
  userChangesPerSecond: { env: 'USER_CHANGES_PER_SECOND', value: 100, meaning: 'changes of one user, each second' },
  userChangesBurst: { env: 'USER_CHANGES_BURST', value: 500, meaning: 'changes a user may send at once after a rest' },
  pageChangesPerSecond: { env: 'PAGE_CHANGES_PER_SECOND', value: 1000, meaning: 'changes of one page, each second' },
  subscribesPerSecond: { env: 'SUBSCRIBES_PER_SECOND', value: 20, meaning: 'SUBSCRIBE frames of one socket, each second' },
  syncsPerSecond: { env: 'SYNCS_PER_SECOND', value: 5, meaning: 'SYNC frames of one socket, each second' },
  userFramesPerSecond: { env: 'USER_FRAMES_PER_SECOND', value: 1000, meaning: 'frames of one user, each second; past it the socket is closed' },
  userFramesBurst: { env: 'USER_FRAMES_BURST', value: 5000, meaning: 'frames a user may send at once after a rest' },
  userBytesPerSecond: { env: 'USER_BYTES_PER_SECOND', value: 4 << 20, meaning: 'bytes of one user, each second; past it the socket is closed' },
  userBytesBurst: { env: 'USER_BYTES_BURST', value: 16 << 20, meaning: 'bytes a user may send at once after a rest' },
  subscriptionsMax: { env: 'SUBSCRIPTIONS_MAX', value: 100, meaning: 'pages open on one socket' },
  userSocketsMax: { env: 'USER_SOCKETS_MAX', value: 100, meaning: 'sockets of one user' },
  addressSocketsMax: { env: 'ADDRESS_SOCKETS_MAX', value: 10_000, meaning: 'sockets of one network address' },
  unauthenticatedMs: { env: 'UNAUTHENTICATED_MS', value: 5000, meaning: 'ms a socket may live without a token' },
  unauthenticatedBytesMax: { env: 'UNAUTHENTICATED_BYTES_MAX', value: 16 << 10, meaning: 'bytes a socket may send without a token' },
  clockDriftMaxMs: { env: 'CLOCK_DRIFT_MAX_MS', value: 60_000, meaning: 'ms a stamp may be ahead of the server and of its page' },
  tombstoneDays: { env: 'TOMBSTONE_DAYS', value: 30, meaning: 'days that a deleted block can be restored, then it is purged' },
  socketBufferBytesMax: { env: 'SOCKET_BUFFER_BYTES_MAX', value: 1 << 20, meaning: 'bytes held for one socket that does not read them' },
  pageQueueMax: { env: 'PAGE_QUEUE_MAX', value: 10_000, meaning: 'changes of one page that wait for their commit' },
  pageQueueBytesMax: { env: 'PAGE_QUEUE_BYTES_MAX', value: 16 << 20, meaning: 'bytes of them' },
  backlogBytesMax: { env: 'BACKLOG_BYTES_MAX', value: 40 << 20, meaning: 'bytes of all changes of a shard that wait for their commit, 1 KiB more for each' },
} as const satisfies Record<string, LimitRow>; // prettier-ignore

export type LimitName = keyof typeof LIMIT_TABLE;
export type Limits = { readonly [name in LimitName]: number };

/** Bounds of the wire itself: part of `octavo.v1`, the same on every server. */
export const WIRE = {
  /** Nesting of one prop value. */
  jsonDepthMax: 16,
  typeBytesMax: 64,
  keyBytesMax: 128,
  propKeyBytesMax: 128,
  propKeysMax: 256,
  tokenBytesMax: 8 << 10,
  clientNameBytesMax: 128,
  chMax: 0xffff_ffff,
  hlcCounterMax: 0xffff,
  /** The year 10889: far past any sane clock, and 48 bits. */
  hlcMsMax: 0xffff_ffff_ffff,
  snapshotPartBytes: 256 << 10,
  /** Bytes of changes in one CHANGES frame, about. */
  changesBytes: 256 << 10,
  stateHashBytes: 8,
} as const;

export const defaultLimits: Limits = Object.fromEntries(
  Object.entries(LIMIT_TABLE).map(([name, row]) => [name, row.value]),
) as Limits;

/** The first relation that does not hold, as a sentence; `undefined` when all is well. */
export function checkLimits(limits: Limits): string | undefined {
  const rows: [boolean, string][] = [
    [
      limits.messageBytesMax >= limits.propsBytesMax + 1024,
      'MESSAGE_BYTES_MAX must hold a block’s PROPS_BYTES_MAX',
    ],
    [
      limits.socketBufferBytesMax >= 4 * WIRE.snapshotPartBytes,
      `SOCKET_BUFFER_BYTES_MAX is at least ${4 * WIRE.snapshotPartBytes}`,
    ],
    [limits.pageQueueBytesMax >= limits.messageBytesMax, 'PAGE_QUEUE_BYTES_MAX must hold one message'],
    [limits.backlogBytesMax >= 2 * limits.messageBytesMax, 'BACKLOG_BYTES_MAX must hold two messages'],
    [limits.textBytesMax >= limits.messageBytesMax, 'TEXT_BYTES_MAX must hold one message'],
    [limits.userBytesBurst >= 4 * limits.messageBytesMax, 'USER_BYTES_BURST must hold four messages'],
    [limits.depthMax <= 1000, 'DEPTH_MAX is at most 1000'],
  ];
  return rows.find(([holds]) => !holds)?.[1];
}
