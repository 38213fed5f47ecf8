/**
 * Where tokens come from, and when a fresh one is due. A provider (a function) is asked before every connection, and
 * again before the token it gave expires; a plain string is used as it is until `set` replaces it.
 */
import type { Clock, Millis, Timer } from '../base/time.ts';
import { OctavoError } from './errors.ts';

export type TokenProvider = string | (() => string | Promise<string>);

const PROVIDER_TIMEOUT_MS = 10_000;
/** A fresh token is asked for when this much of its life is left, at least and at most. */
const RENEW_BEFORE_MS = { min: 5_000, max: 60_000 };
/** Longer delays overflow the timers of browsers and Node.js. */
const TIMER_MAX_MS = 0x7fff_ffff;

export class TokenSource {
  readonly #clock: Clock;
  readonly #now: () => Millis;
  readonly #renew: () => void;
  #provider: TokenProvider;
  #timer: Timer | null = null;

  /** `renew` is called when a fresh token is due. */
  constructor(provider: TokenProvider, clock: Clock, now: () => Millis, renew: () => void) {
    this.#provider = provider;
    this.#clock = clock;
    this.#now = now;
    this.#renew = renew;
  }

  /** Whether a fresh token can be had without the application doing anything. */
  get renewable(): boolean {
    return typeof this.#provider === 'function';
  }

  set(provider: TokenProvider): void {
    this.#provider = provider;
  }

  /** A token. Rejects with `OctavoError` `token` if the provider fails or takes longer than 10 s. */
  async get(): Promise<string> {
    const provider = this.#provider;
    const token = typeof provider === 'function' ? await this.#ask(provider) : provider;
    this.#plan(token);
    return token;
  }

  #ask(provider: () => string | Promise<string>): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(PROVIDER_TIMEOUT_MS, () => {
        reject(new OctavoError('token', 'the token provider took longer than 10 s'));
      });
      const fail = (error: unknown) =>
        reject(new OctavoError('token', `the token provider failed: ${String(error)}`));
      Promise.resolve()
        .then(provider)
        .then(resolve, fail)
        .finally(() => timer.cancel());
    });
  }

  #plan(token: string): void {
    this.stop();
    const expiresAt = expiryOf(token);
    if (expiresAt === undefined || !this.renewable) return;
    const life = expiresAt - this.#now();
    const before = Math.min(RENEW_BEFORE_MS.max, Math.max(RENEW_BEFORE_MS.min, life / 4));
    const delay = Math.min(TIMER_MAX_MS, Math.max(1000, life - before));
    this.#timer = this.#clock.after(delay, () => this.#renew());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

/** The `exp` of a JWT in ms, unverified; `undefined` if there is none to be read. */
export function expiryOf(token: string): Millis | undefined {
  try {
    const payload = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/');
    const { exp } = JSON.parse(atob(payload)) as { exp?: unknown };
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    // Not a JWT: the server will say what it thinks of it.
    return undefined;
  }
}
