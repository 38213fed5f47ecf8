/**
 * Pure: the whole report as Markdown, and its place in a document: between two comments, which stay.
 */
import { detailTable, markdownTable, type ReportRow, summaryTable, whereOthersAreAhead } from './tables.ts';

export const FIGURES_BEGIN = '<!-- figures: npm run bench:peers -- --markdown -->';
export const FIGURES_END = '<!-- /figures -->';

const OWN = 'octavo';

function settings(rows: readonly ReportRow[]): string {
  const byPeer = new Map(rows.map((row) => [row.peer, row]));
  const lines = [...byPeer.values()].map(({ peer, about, durable }) => [`\`${peer}\``, about, durable]);
  const head = ['peer', 'what ran', 'what others see is safe from a crash'];
  return markdownTable(head, lines, head);
}

export function markdownReport(rows: readonly ReportRow[]): string {
  const [first] = rows;
  if (!first) return 'No figures.';
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))];
  const ahead = whereOthersAreAhead(rows, OWN);
  const marks = [
    rows.some(({ contendedRounds }) => contendedRounds > 0) ? '\\* somebody else took the cores in at least one round' : '',
    rows.some(({ notes }) => notes.includes('the rate was not reached')) ? '† the rate was not reached' : '',
  ].filter((mark) => mark !== '');
  const rounds = Math.max(...rows.map((row) => row.rounds));
  return [
    `Measured ${first.date} on ${first.machine}; ${rounds === 1 ? 'one round' : `medians of ${rounds} rounds`}.`,
    summaryTable(rows),
    ...(marks.length > 0 ? [`${marks.join('; ')}.`] : []),
    '### Where a peer is ahead',
    ahead.length > 0 ? ahead.join('\n') : 'In no figure of this run.',
    '### Settings',
    settings(rows),
    '### All figures',
    ...scenarios.flatMap((scenario) => [`\`${scenario}\``, detailTable(rows, scenario)]),
  ].join('\n\n');
} // prettier-ignore

/** The document with the report in its place; without a place, or a document, the report alone. */
export function placed(document: string | null, report: string): string {
  const from = document?.indexOf(FIGURES_BEGIN) ?? -1;
  const to = document?.indexOf(FIGURES_END) ?? -1;
  if (document === null || from < 0 || to < from) return `${report}\n`;
  return `${document.slice(0, from)}${FIGURES_BEGIN}\n\n${report}\n\n${document.slice(to)}`;
}
