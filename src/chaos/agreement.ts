/**
 * Waits until all clients agree with the log and with each other, and takes the time; then gathers what the verdict needs.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Millis, sleep, systemClock } from '../base/time.ts';
import type { PageId } from '../protocol/ids.ts';
import { type PageEvidence, shownByLog } from './judge.ts';
import type { OwnPostgres } from './own-postgres.ts';
import type { Person } from './person.ts';
import { readWholeLog } from './read-log.ts';

export interface Pages {
  readonly ids: readonly PageId[];
  readonly people: readonly Person[];
  readonly postgres: OwnPostgres;
}

export interface Agreement {
  /** null: they did not agree in time. */
  readonly agreeMs: Millis | null;
  /** What kept them from it. */
  readonly why: readonly string[] | null;
}

/** Copies that are at the head and still differ from the log: texts that hold what never came are replaced within seconds. */
const REPAIR_MS: Millis = 10_000;
const POLL_MS: Millis = 20;
const READ_ATTEMPTS = 10;
const RETRY_MS: Millis = 500;

/** Begins now: all faults have healed, and nobody writes any more. Gives up after `patienceMs`. */
export async function awaitAgreement(pages: Pages, patienceMs: Millis): Promise<Agreement> {
  const startedAt = systemClock.monotonic();
  const elapsed = () => Math.round(systemClock.monotonic() - startedAt);
  let differSince: Millis | null = null;
  while (elapsed() < patienceMs && elapsed() - (differSince ?? elapsed()) < REPAIR_MS) {
    const heads = await patiently(() => readHeads(pages));
    if (pages.people.every((person) => person.agrees(heads))) {
      // What it takes to compare is not theirs.
      const agreeMs = elapsed();
      if (await isEqual(pages)) return { agreeMs, why: null };
      differSince ??= agreeMs;
    } else differSince = null;
    await sleep(POLL_MS);
  }
  const heads = await patiently(() => readHeads(pages));
  const late = pages.people.filter((person) => !person.agrees(heads));
  return { agreeMs: null, why: late.map((person) => `no agreement: ${person.describe(heads)}`) };
}

/** PostgreSQL may have just come back, or have much to do. */
async function patiently<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (attempt >= READ_ATTEMPTS) throw error;
      await sleep(RETRY_MS);
    }
  }
}

async function readHeads({ ids, postgres }: Pages): Promise<Map<PageId, number>> {
  const rows = await postgres.query<{ page_id: PageId; seq: string }>(
    'select page_id, seq from page_heads where page_id = any($1)',
    [ids],
  );
  return new Map(rows.map(({ page_id, seq }) => [page_id, Number(seq)]));
}

async function isEqual(pages: Pages): Promise<boolean> {
  for (const { page, log, testimonies } of await gather(pages)) {
    const wanted = shownByLog(page, log);
    if (!testimonies.every(({ shown }) => isDeepStrictEqual(shown, wanted))) return false;
  }
  return true;
}

/** The logs, and what everybody says. */
export async function gather(pages: Pages): Promise<PageEvidence[]> {
  const { ids, people, postgres } = pages;
  const heads = await patiently(() => readHeads(pages));
  return Promise.all(
    ids.map(async (page) => {
      const log = await patiently(() => readWholeLog(postgres.url, page));
      return {
        page,
        head: heads.get(page) ?? 0,
        log,
        testimonies: people.map((person) => person.testify(page)),
      };
    }),
  );
}
