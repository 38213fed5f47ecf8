/**
 * The log: every event is documented, and no flood of one fills the disk.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { documentedEvents } from '../test/support/log-events.ts';
import { FakeClock } from '../test/support/client-stage.ts';
import { boundedLog } from './base/bounded-log.ts';
import type { Log } from './base/log.ts';

const sources = readdirSync('src', { recursive: true, withFileTypes: true })
  .filter(({ name }) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'));

test('G140 every sentence that is logged is documented, and every documented one is logged', () => {
  const events = documentedEvents();
  expect(events.size).toBeGreaterThan(40);
  const call = /\blog(?:\.\w+|\[\w+\])\(\s*(?:\{[^{}]*\}|\w+),\s*'([^']+)',?\s*\)/g;
  const logged = sources.flatMap((text) => [...text.matchAll(call)].map(([, sentence]) => sentence!));
  expect(logged.length).toBeGreaterThan(30);
  expect(logged.filter((sentence) => !events.has(sentence))).toEqual([]);
  const all = sources.join('\n');
  expect([...events.keys()].filter((sentence) => !all.includes(`'${sentence}'`))).toEqual([]);
});

test('G143 of a flood of one event a bounded number of lines is written, with how many were not; others are as ever', async () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const note = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log = boundedLog({ debug: note, info: note, warn: note, error: note } satisfies Log, clock);
  for (let i = 1; i <= 10_000; i++) log.warn({ i }, 'again');
  log.warn({ i: 1 }, 'something else');
  log.error({ i: 1 }, 'again');
  expect(lines).toHaveLength(52);
  expect(lines.slice(-2)).toEqual(['something else {"i":1}', 'again {"i":1}']);
  await clock.advance(10_000);
  expect(lines.slice(52)).toEqual(['again {"i":10000,"suppressed":9949}']);
  // A minute of it: what the rate gives, and one with the number each ten seconds.
  for (let ms = 0; ms < 60_000; ms += 2000) {
    for (let i = 0; i < 500; i++) log.warn({ i }, 'again');
    await clock.advance(2000);
  }
  const suppressed = lines.flatMap((line) => /"suppressed":(\d+)/.exec(line)?.[1] ?? []);
  const told = lines.filter((line) => line.startsWith('again')).length + suppressed.reduce((sum, n) => sum + Number(n), 0);
  expect(lines.length).toBeLessThan(53 + 7 * 21 + 7);
  expect(told).toBeGreaterThan(15_000);
  // Over: as before.
  await clock.advance(60_000);
  lines.length = 0;
  log.warn({}, 'again');
  expect(lines).toEqual(['again {}']);
}); // prettier-ignore
