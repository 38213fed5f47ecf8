/**
 * Whom a subscription tells: the page.
 */
import type { Millis } from '../base/time.ts';
import type { Role } from '../protocol/messages.ts';
import type { OctavoError } from './errors.ts';
import type { PendingChange } from './outbox.ts';

export interface SubscriptionHooks {
  /** The role on the page; null: none any more. */
  role(role: Role | null): void;
  live(live: boolean): void;
  /** A new subscription stands: presence starts anew. */
  subscribed(): void;
  /** Too much presence of this user: the last state was not taken. */
  presenceSlowed(waitMs: Millis): void;
  /** Changes of mine that the log holds. */
  confirmed(changes: readonly PendingChange[]): void;
  over(error: OctavoError): void;
  /** The ch under which replies come now; null: none. */
  route(ch: number | null): void;
}
