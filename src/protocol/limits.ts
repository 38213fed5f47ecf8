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
  textBytesMax: { env: 'TEXT_BYTES_MAX', value: 4 << 20, meaning: 'bytes of the text updates of one block' },
  depthMax: { env: 'DEPTH_MAX', value: 64, meaning: 'levels of blocks below the page' },
  blocksMax: { env: 'BLOCKS_MAX', value: 100_000, meaning: 'blocks of one page, deleted ones included' },
  presenceBytesMax: { env: 'PRESENCE_BYTES_MAX', value: 1024, meaning: 'bytes of one presence state' },
  presencePerSecond: { env: 'PRESENCE_PER_SECOND', value: 10, meaning: 'presence frames of one socket, each second' },
  userChangesPerSecond: { env: 'USER_CHANGES_PER_SECOND', value: 100, meaning: 'changes of one user, each second' },
  userChangesBurst: { env: 'USER_CHANGES_BURST', value: 500, meaning: 'changes a user may send at once after a rest' },
  pageChangesPerSecond: { env: 'PAGE_CHANGES_PER_SECOND', value: 1000, meaning: 'changes of one page, each second' },
  subscriptionsMax: { env: 'SUBSCRIPTIONS_MAX', value: 100, meaning: 'pages open on one socket' },
  userSocketsMax: { env: 'USER_SOCKETS_MAX', value: 100, meaning: 'sockets of one user' },
  addressSocketsMax: { env: 'ADDRESS_SOCKETS_MAX', value: 10_000, meaning: 'sockets of one network address' },
  unauthenticatedMs: { env: 'UNAUTHENTICATED_MS', value: 5000, meaning: 'ms a socket may live without a token' },
  unauthenticatedBytesMax: { env: 'UNAUTHENTICATED_BYTES_MAX', value: 16 << 10, meaning: 'bytes a socket may send without a token' },
  clockDriftMaxMs: { env: 'CLOCK_DRIFT_MAX_MS', value: 60_000, meaning: 'ms a stamp may be ahead of the server and of its page' },
  tombstoneDays: { env: 'TOMBSTONE_DAYS', value: 30, meaning: 'days that a deleted block can be restored, then it is purged' },
  socketBufferBytesMax: { env: 'SOCKET_BUFFER_BYTES_MAX', value: 8 << 20, meaning: 'unread bytes held for one socket' },
  outboxBytesMax: { env: 'OUTBOX_BYTES_MAX', value: 256 << 20, meaning: 'bytes of large snapshots that wait for one socket to read' },
  pageQueueMax: { env: 'PAGE_QUEUE_MAX', value: 10_000, meaning: 'changes of one page that wait for their commit' },
  pageQueueBytesMax: { env: 'PAGE_QUEUE_BYTES_MAX', value: 16 << 20, meaning: 'bytes of them' },
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
} as const;

/**
 * Frames of one socket, each second, whose few bytes can be answered by a whole page. Far above what a client that
 * means well sends; of SUBSCRIBE, `subscriptionsMax` more may come at once.
 */
export const SOCKET_RATES = { subscribesPerSecond: 20, syncsPerSecond: 5 } as const;

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
      limits.socketBufferBytesMax >= 2 * limits.messageBytesMax,
      'SOCKET_BUFFER_BYTES_MAX must hold two messages',
    ],
    [limits.pageQueueBytesMax >= limits.messageBytesMax, 'PAGE_QUEUE_BYTES_MAX must hold one message'],
    [limits.textBytesMax >= limits.messageBytesMax, 'TEXT_BYTES_MAX must hold one message'],
    [limits.depthMax <= 1000, 'DEPTH_MAX is at most 1000'],
  ];
  return rows.find(([holds]) => !holds)?.[1];
}
