/**
 * What was done in a run, as the people who did it know it: every op that was made, handed back, or given up with a page
 * that was left unsaved; every write of a prop, with what its writer saw. The checks hold the log against it.
 */
import type { PropWrite } from '../../src/document/ops.ts';
import type { PageId, ReplicaId } from '../../src/protocol/ids.ts';

/** How a check failed. */
export class SimFailure extends Error {
  override readonly name = 'SimFailure';
  readonly check: string;

  constructor(check: string, detail: string) {
    super(`${check}: ${detail}`);
    this.check = check;
  }
}

export interface PropWritten {
  readonly page: PageId;
  readonly block: string;
  readonly key: string;
  readonly token: string;
  /** The value that the writer replaced; null: none, or not one of ours. */
  readonly seen: string | null;
}

/** How often something was made and what became of it. */
export interface Account {
  made: number;
  rejected: number;
  abandoned: number;
}

export type OpKey = string;

export class Journal {
  readonly writes: PropWritten[] = [];
  /** By page and replica, then by op and block. */
  readonly accounts = new Map<string, Map<OpKey, Account>>();
  readonly rejectedCodes = new Map<string, number>();
  /** Page and replica of those who sent changes again on another connection: two nodes may have judged them. */
  readonly resent = new Set<string>();
  edits = 0;
  /** ms from each change to its acknowledgement. */
  readonly waits: number[] = [];
  /** Who wrote each value first. */
  readonly writers = new Map<string, ReplicaId>();
  /** Values whose first write was refused: the log may have them all the same, by an undo. */
  readonly unwritten = new Set<string>();

  /** A value that nobody has written yet. */
  token(writer: ReplicaId): string {
    const token = `t${this.writers.size + 1}`;
    this.writers.set(token, writer);
    return token;
  }

  wrote(write: PropWritten): void {
    this.writes.push(write);
  }

  #account(page: PageId, replica: ReplicaId, key: OpKey): Account {
    const name = `${page} ${replica}`;
    let accounts = this.accounts.get(name);
    if (!accounts) this.accounts.set(name, (accounts = new Map()));
    let account = accounts.get(key);
    if (!account) accounts.set(key, (account = { made: 0, rejected: 0, abandoned: 0 }));
    return account;
  }

  sentAgain(page: PageId, replica: ReplicaId): void {
    this.resent.add(`${page} ${replica}`);
  }

  made(page: PageId, replica: ReplicaId, keys: readonly OpKey[]): void {
    for (const key of keys) this.#account(page, replica, key).made++;
  }

  /** The props of a write that was refused. */
  handedBack(replica: ReplicaId, props: readonly PropWrite[]): void {
    for (const { value } of props) {
      if (typeof value === 'string' && this.writers.get(value) === replica) this.unwritten.add(value);
    }
  }

  rejected(page: PageId, replica: ReplicaId, code: string, keys: readonly OpKey[]): void {
    this.rejectedCodes.set(code, (this.rejectedCodes.get(code) ?? 0) + 1);
    for (const key of keys) this.#account(page, replica, key).rejected++;
  }

  abandoned(page: PageId, replica: ReplicaId, keys: readonly OpKey[]): void {
    for (const key of keys) this.#account(page, replica, key).abandoned++;
  }
}

export const opKey = (op: string, block: string | null): OpKey => `${op} ${block}`;
