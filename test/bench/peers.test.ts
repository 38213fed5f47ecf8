/**
 * The pure parts of the comparison with other servers (`bench/peers`): what the command line asks for, when a round is
 * contended, the row that rounds make, the tables and their place, and the reading of merged Yjs updates.
 */
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { keystroke } from '../../bench/lib/keystroke.ts';
import { readArguments } from '../../bench/peers/lib/arguments.ts';
import { FIGURES_BEGIN, FIGURES_END, markdownReport, placed } from '../../bench/peers/lib/report.ts';
import { type Contention, isContended, type Round, rowOf } from '../../bench/peers/lib/rounds.ts';
import {
  detailTable,
  markdownTable,
  type ReportRow,
  summaryTable,
  whereOthersAreAhead,
} from '../../bench/peers/lib/tables.ts';
import { heardSlot } from '../../bench/peers/load/plan.ts';
import { expectedPageText } from '../../bench/peers/load/sharedb-wire.ts';
import { readTyped } from '../../bench/peers/load/yjs-updates.ts';

const names = {
  peers: [
    { name: 'octavo', isVariant: false },
    { name: 'other', isVariant: false },
    { name: 'other-eager', isVariant: true },
  ],
  scenarios: ['typing', 'rate-2000', 'join'],
  quick: ['typing', 'join'],
};

describe('arguments', () => {
  const pairs = (...args: string[]) => {
    const { peers, scenarios } = readArguments(args, names);
    return [peers.join(), scenarios.join()];
  };

  test('without any all run, three rounds', () => {
    expect(pairs()).toEqual(['octavo,other,other-eager', 'typing,rate-2000,join']);
    expect(readArguments([], names)).toMatchObject({ rounds: 3, seconds: 5, repeats: 2, pin: true, json: null });
  });

  test('a quick run leaves variants out and always types', () => {
    expect(pairs('--quick')).toEqual(['octavo,other', 'typing,join']);
    expect(pairs('--quick', '--only', 'join')).toEqual(['octavo,other', 'typing,join']);
    expect(pairs('--quick', '--only', 'other-eager,rate-2000')).toEqual(['other-eager', 'typing,rate-2000']);
    expect(readArguments(['--quick'], names)).toMatchObject({ rounds: 1, seconds: 3, repeats: 0 });
  });

  test('--only takes peers, scenarios or both, in any order', () => {
    expect(pairs('--only', 'join, octavo')).toEqual(['octavo', 'join']);
    expect(pairs('--only', 'other,octavo')).toEqual(['octavo,other', 'typing,rate-2000,join']);
    expect(pairs('--only', 'typing')).toEqual(['octavo,other,other-eager', 'typing']);
  });

  test('what is unknown or no number names itself', () => {
    expect(() => readArguments(['--only', 'octave'], names)).toThrow(/no peer or scenario "octave"[^]*scenarios: typing/);
    expect(() => readArguments(['--rounds', 'many'], names)).toThrow('--rounds many: expected a number from 1');
  });
}); // prettier-ignore

const round = (values: Partial<Round>): Round => ({
  editsPerSecond: 1000,
  deliveriesPerSecond: 1000,
  p50Ms: 1,
  p99Ms: 2,
  serverCpuPercent: 50,
  databaseCpuPercent: 10,
  generatorCpuPercent: 20,
  editsPerCpuSecond: 1667,
  cpuMsEach: null,
  isContended: false,
  notes: [],
  ...values,
});

describe('rounds', () => {
  const quiet: Contention = { serverWait: 0, generatorWait: 0, serverRest: 0, database: 0, others: 0 };

  test('a wait that nothing of ours explains is contention', () => {
    expect(isContended({ ...quiet, serverWait: 0.09, generatorWait: 0.09 })).toBe(false);
    expect(isContended({ ...quiet, serverWait: 0.11 })).toBe(true);
    expect(isContended({ ...quiet, generatorWait: 0.11 })).toBe(true);
    expect(isContended({ ...quiet, serverWait: 0.3, database: NaN })).toBe(true);
  });

  test('a wait for the server’s own threads and database is none, unless others were busy', () => {
    const own = { ...quiet, serverWait: 0.3, generatorWait: 0.2, serverRest: 0.2, database: 0.25 };
    expect(isContended(own)).toBe(false);
    expect(isContended({ ...own, others: 0.2 })).toBe(true);
    expect(isContended({ ...own, database: 0.15 })).toBe(true);
  });

  test('a row has medians and the spread', () => {
    const rounds = [round({ editsPerSecond: 3000, notes: ['late'] }), round({}), round({ editsPerSecond: 1234.56, isContended: true, notes: ['late'] })];
    const row = rowOf('octavo', 'typing', rounds, null);
    expect(row).toMatchObject({ peer: 'octavo', scenario: 'typing', editsPerSecond: 1235, cpuMsEach: null, rounds: 3, contendedRounds: 1, notes: ['late'] });
    expect(row.spread.editsPerSecond).toEqual([1000, 3000]);
    expect(rowOf('a', 'join', [round({ databaseCpuPercent: NaN })], null).databaseCpuPercent).toBeNull();
  });

  test('a pair that failed has no figures', () => {
    expect(rowOf('a', 'join', [], 'it broke')).toMatchObject({ p50Ms: null, rounds: 0, failed: 'it broke' });
  });
}); // prettier-ignore

const reportRow = (peer: string, scenario: string, values: Partial<Round>, failed: string | null = null): ReportRow => ({
  ...rowOf(peer, scenario, failed === null ? [round(values)] : [], failed),
  about: `${peer} 1.0`,
  durable: 'never',
  machine: 'a machine',
  date: '2026-01-01',
}); // prettier-ignore

describe('tables', () => {
  const rows = [
    reportRow('octavo', 'typing', { editsPerSecond: 40_000, editsPerCpuSecond: 20_000 }),
    reportRow('octavo', 'rate-2000', { p50Ms: 0.4, p99Ms: 2, editsPerSecond: 2000 }),
    reportRow('fast', 'typing', { editsPerSecond: 50_000, editsPerCpuSecond: 10_000, isContended: true }),
    reportRow('fast', 'rate-2000', { p50Ms: 0.1, p99Ms: 7, notes: ['the rate was not reached'] }),
    reportRow('broken', 'typing', {}, 'it | broke\nhere'),
  ];

  test('one row a peer, marked where it is to be doubted', () => {
    expect(summaryTable(rows).split('\n')).toEqual([
      '| peer     | typing: edits/s | edits per CPU-second | 2,000/s: p50 / p99 ms |',
      '| -------- | --------------: | -------------------: | --------------------: |',
      '| `octavo` |          40,000 |               20,000 |           0.40 / 2.00 |',
      '| `fast`   |        50,000 * |             10,000 * |         0.10 / 7.00 † |',
      '| `broken` |          failed |               failed |                     – |',
    ]);
  });

  test('details have why a pair failed', () => {
    expect(detailTable(rows, 'typing')).toContain('failed: it \\| broke ');
    expect(detailTable(rows, 'typing')).toContain('1 of 1 rounds contended');
  });

  test('who is ahead is said, in either direction of better', () => {
    expect(whereOthersAreAhead(rows, 'octavo')).toEqual([
      '- typing, edits/s: `fast` 50,000; `octavo` 40,000',
      '- rate-2000, ms p50: `fast` 0.10; `octavo` 0.40',
    ]);
    expect(whereOthersAreAhead(rows, 'nobody')).toEqual([]);
  });

  test('the report goes where the document has a place for it, again and again', () => {
    const report = markdownReport(rows);
    expect(report).toContain('Measured 2026-01-01 on a machine; one round.');
    const document = `# Text\n\n${FIGURES_BEGIN}\n\nold\n\n${FIGURES_END}\n\nMore.\n`;
    const once = placed(document, report);
    expect(once).toBe(`# Text\n\n${FIGURES_BEGIN}\n\n${report}\n\n${FIGURES_END}\n\nMore.\n`);
    expect(placed(once, report)).toBe(once);
    expect(placed(null, 'new')).toBe('new\n');
    expect(markdownTable(['a', 'b'], [['x', '1']])).toBe('| a   |   b |\n| --- | --: |\n| x   |   1 |');
  });
}); // prettier-ignore

describe('load', () => {
  test('merged updates tell whose characters they hold', () => {
    const updates = [0, 1, 2].map((clock) => keystroke(7, clock));
    const doc = new Y.Doc();
    for (const update of [...updates, keystroke(9000, 0)]) Y.applyUpdate(doc, update);
    for (const update of [Y.mergeUpdates([...updates, keystroke(9000, 0)]), Y.encodeStateAsUpdate(doc)]) {
      const typed: number[][] = [];
      readTyped(update, 0, update.length, (client, clock, characters) => typed.push([client, clock, characters]));
      expect(typed.sort()).toEqual([
        [7, 0, 3],
        [9000, 0, 1],
      ]);
    }
  });

  test('an update that is no typing is refused', () => {
    const doc = new Y.Doc();
    doc.getMap('map').set('a', 1);
    const update = Y.encodeStateAsUpdate(doc);
    expect(() => readTyped(update, 0, update.length, () => {})).toThrow('no text');
  });

  test('each listens to the one before; readers to the writer, who listens to no echo of its own', () => {
    expect([0, 1, 2, 3].map((slot) => heardSlot(slot, 4, false))).toEqual([3, 0, 1, 2]);
    expect([0, 1, 2].map((slot) => heardSlot(slot, 3, true))).toEqual([1, 0, 0]);
  });

  test('a ShareDB page holds each client’s letters after its digit', () => {
    expect(expectedPageText([2, 0, 1])).toBe('0ab12a');
  });
}); // prettier-ignore
