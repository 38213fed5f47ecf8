/**
 * What a working copy is given, and whom it tells.
 */
import type { Clock, Millis } from '../base/time.ts';
import type { Random } from '../base/random.ts';
import type { PageId, ReplicaId } from '../protocol/ids.ts';
import type { Limits } from '../protocol/limits.ts';
import type { ClientCode } from './errors.ts';
import type { ChangeEvent, RejectedEvent } from './page-events.ts';

export interface WorkingCopyOptions {
  readonly page: PageId;
  readonly replica: ReplicaId;
  readonly clock: Clock;
  readonly random: Random;
  /** The server's time, as well as it is known. */
  readonly now: () => Millis;
  readonly limits: () => Limits;
  /** Why nothing may be edited now; null: it may. */
  readonly locked: () => ClientCode | null;
  /** Whether anybody listens to changes: else their summaries are not made. */
  readonly heeded: () => boolean;
  readonly changed: (event: ChangeEvent) => void;
  readonly rejected: (event: RejectedEvent) => void;
  /** Whether all that others did and that is shown here is in the log: it has changed. */
  readonly settled: () => void;
  /** A change was sealed: it can be sent. */
  readonly sealed: () => void;
}
