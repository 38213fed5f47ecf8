/**
 * The report of a run: one page with all that it needs in it. It asks nobody for anything, so it can be kept, sent and opened
 * anywhere; light or dark as its reader's system is.
 */
import { barChart, escapeHtml, lineChart, type Series } from './charts.ts';
import type { LatencySummary } from './latency.ts';
import { REPORT_SCRIPT, REPORT_STYLE } from './report-style.ts';
import { isCorrect, type LoadResult, type Second } from './result.ts';
import { mainLatency } from './scenarios.ts';
import { LATENCY_MEANING, number, RATE_NAMES } from './table.ts';
import type { LatencyName } from './tallies.ts';
import type { Judged } from './thresholds.ts';

type AnyLatency = LatencyName | 'request';
const latencyNames = (result: LoadResult) => Object.keys(result.latencies) as AnyLatency[];

function tile(name: string, value: string, unit: string, note = ''): string {
  return `<div class="tile"><span>${escapeHtml(name)}</span><b>${escapeHtml(value)}<small>${escapeHtml(unit)}</small></b><em>${escapeHtml(note)}</em></div>`;
}

function tiles(result: LoadResult): string {
  const main = mainLatency(result.scenario);
  const latency = result.latencies[main];
  const rateName = main === 'request' ? 'requests' : result.scenario === 'join-storm' ? 'joins' : main === 'presence' ? 'presence' : 'accepted'; // prettier-ignore
  const { server, generator, correctness } = result;
  return [
    latency && tile(`${main}, median`, number(latency.p50), 'ms', LATENCY_MEANING[main]),
    latency && tile(`${main}, p99`, number(latency.p99), 'ms', `max ${number(latency.max)} ms`),
    tile(RATE_NAMES[rateName] ?? rateName, number(result.rates[rateName] ?? 0), ' / s', `over ${number(result.seconds)} s`), // prettier-ignore
    server && tile('server', number(server.cpu), ' cores', `${number(server.residentBytesMost / 1e6)} MB at most`), // prettier-ignore
    tile('generator', number(generator.cpu), ' cores', generator.warnings.length > 0 ? 'see the warning' : 'not the bottleneck'), // prettier-ignore
    correctness && tile('lost or doubled', String(correctness.lost + correctness.doubled), '', isCorrect(result) ? `${number(correctness.blocks)} blocks looked at` : 'not correct'), // prettier-ignore
  ]
    .filter(Boolean)
    .join('');
}

function verdicts(result: LoadResult, judged: readonly Judged[]): string {
  const { correctness, generator, interrupted } = result;
  const lines: string[] = [];
  if (correctness && !isCorrect(result)) {
    const { lost, doubled, wrong, behind, unsettled, findings } = correctness;
    const list = findings.map((finding) => `<li>${escapeHtml(finding)}</li>`).join('');
    lines.push(`<div class="note bad"><b>Not correct.</b> ${lost} lost, ${doubled} doubled, ${wrong} blocks wrong, ${behind} readers behind, ${unsettled} edits without an answer.<ul>${list}</ul></div>`); // prettier-ignore
  }
  for (const warning of generator.warnings) lines.push(`<div class="note warn"><b>Warning:</b> ${escapeHtml(warning)}.</div>`); // prettier-ignore
  if (interrupted) lines.push(`<div class="note warn">Ended before its time: the figures are of the first ${number(result.seconds)} s.</div>`); // prettier-ignore
  const chips = judged.map(({ text, value, holds }) => `<span class="chip ${holds ? 'good' : 'bad'}">${holds ? '✓' : '✗'} ${escapeHtml(text)} <small>${value === undefined ? 'no such figure' : number(value)}</small></span>`); // prettier-ignore
  if (chips.length > 0) lines.push(`<p class="chips">${chips.join(' ')}</p>`);
  return lines.join('\n');
}

function latencyTable(result: LoadResult): string {
  const row = (name: AnyLatency, { p50, p90, p99, 'p99.9': p999, max, mean, count }: LatencySummary) =>
    `<tr><th>${name}<small>${escapeHtml(LATENCY_MEANING[name] ?? '')}</small></th>${[p50, p90, p99, p999, max, mean].map((value) => `<td>${number(value)}</td>`).join('')}<td>${number(count)}</td></tr>`;
  const rows = latencyNames(result).map((name) => row(name, result.latencies[name]!));
  return `<div class="wide"><table class="figures"><thead><tr><th>latency, ms</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th>mean</th><th>count</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
} // prettier-ignore

const of = (timeline: readonly Second[], value: (second: Second) => number | null | undefined) => timeline.map((second) => value(second) ?? null); // prettier-ignore

function latencyCharts(result: LoadResult): string[] {
  const { timeline } = result;
  const at = timeline.map((second) => second.at);
  return latencyNames(result).flatMap((name) => {
    const latency = result.latencies[name]!;
    const line = (which: 'p50' | 'p99' | 'max') => of(timeline, ({ latencies }) => latencies[name]?.[which]);
    const series: Series[] = [
      { name: 'max', colour: 'faint', values: line('max') },
      { name: 'p99', colour: 'c2', values: line('p99') },
      { name: 'median', colour: 'c1', values: line('p50') },
    ];
    const quantiles = (['p50', 'p90', 'p99', 'p99.9'] as const).map((key) => ({ name: key, value: latency[key] })); // prettier-ignore
    return [
      lineChart({ title: `Latency, ${name}`, about: 'ms, by second', unit: ' ms', at, series, log: true }),
      barChart(`How long it took, ${name}`, `${number(latency.count)} in all`, latency.bars, quantiles),
    ];
  });
}

function otherCharts(result: LoadResult): string[] {
  const { timeline } = result;
  const at = timeline.map((second) => second.at);
  const some = (values: readonly (number | null)[]) => (values.some((value) => value) ? values : values.map(() => null)); // prettier-ignore
  const isHttp = result.scenario === 'http';
  return [
    lineChart({
      title: 'Throughput',
      about: 'a second',
      unit: ' / s',
      at,
      series: [
        { name: isHttp ? 'requests' : 'edits made', colour: 'faint', values: some(of(timeline, ({ made }) => made)) },
        { name: 'edits durable', colour: 'c1', values: some(of(timeline, ({ accepted }) => accepted)) },
        { name: 'joins', colour: 'c2', values: some(of(timeline, ({ joins }) => joins)) },
      ],
    }),
    lineChart({ title: 'Told to others', about: 'edits received by other clients, a second', unit: ' / s', at, series: [{ name: 'deliveries', colour: 'c3', values: some(of(timeline, ({ seen }) => seen)) }] }),
    lineChart({
      title: 'CPU',
      about: 'cores in use',
      unit: ' cores',
      at,
      series: [
        { name: 'server', colour: 'c1', values: of(timeline, ({ server }) => server?.cpu) },
        { name: 'generator', colour: 'faint', values: some(of(timeline, ({ generatorCpu }) => generatorCpu)) },
      ],
    }),
    lineChart({ title: 'Memory of the server', about: 'MB, resident', unit: ' MB', at, series: [{ name: 'server', colour: 'c3', values: of(timeline, ({ server }) => server && server.residentBytes / 1e6) }] }),
    lineChart({
      title: 'Event loop of the server',
      about: 'ms late at most, by second',
      unit: ' ms',
      at,
      log: true,
      series: [{ name: 'latest thread', colour: 'c2', values: of(timeline, ({ server }) => server?.loopDelayMs) }],
    }),
    lineChart({ title: 'Without an answer', about: 'edits on their way at the end of each second', unit: '', at, series: [{ name: 'edits', colour: 'c2', values: some(of(timeline, ({ pending }) => pending)) }] }),
  ];
} // prettier-ignore

const rowsOf = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(typeof value === 'number' ? number(value) : value)}</td></tr>`)
    .join(''); // prettier-ignore

function box(title: string, values: Readonly<Record<string, string | number>>): string {
  return Object.keys(values).length === 0 ? '' : `<section class="box"><h2>${escapeHtml(title)}</h2><table>${rowsOf(values)}</table></section>`; // prettier-ignore
}

const COUNT_NAMES: Readonly<Record<string, string>> = {
  made: 'edits made', accepted: 'edits durable', seen: 'deliveries to others', joins: 'joins', presenceSent: 'cursor moves', presenceSeen: 'cursor moves seen',
  volatile: 'deliveries before the commit', withdrawn: 'withdrawn', unsent: 'due and not made', reconnects: 'reconnects', leftBehind: 'slow readers left behind',
  gaps: 'gaps that were asked for', frames: 'frames received', requests: 'requests', errors: 'errors',
}; // prettier-ignore

function details(result: LoadResult): string {
  const { generator, machine, counts, refused, closed, correctness, load, target, pages } = result;
  const shown = Object.fromEntries(Object.entries(counts).flatMap(([name, count]) => (COUNT_NAMES[name] && count! > 0 ? [[COUNT_NAMES[name], count!]] : []))); // prettier-ignore
  const threads = Object.fromEntries(generator.threads.map(({ clients, busy, busyMost, loopDelayMs }, i) => [`thread ${i + 1}`, `${clients} clients, busy ${Math.round(100 * busy)} % (${Math.round(100 * busyMost)} % at most), loop late by ${number(loopDelayMs)} ms at most`])); // prettier-ignore
  const checked: Record<string, number> = correctness ? { 'pages looked at': correctness.pages, 'blocks compared': correctness.blocks, lost: correctness.lost, doubled: correctness.doubled, wrong: correctness.wrong, 'readers behind': correctness.behind, 'without an answer': correctness.unsettled } : {}; // prettier-ignore
  return [
    box('Load', { ...load, target, 'measured seconds': result.seconds }),
    box('Counts', shown),
    box('Checked afterwards', checked),
    box('Refused', refused),
    box('Connections that the server or the network ended', closed),
    box('Generator', { ...threads, 'cores in use': generator.cpu, 'edits late, p99, ms': generator.lateP99, 'edits late, at most, ms': generator.lateMax }), // prettier-ignore
    box('Machine of the generator', machine),
    box('Pages that it made', pages.first === null ? {} : { pages: pages.count, 'the first': pages.first, 'find them': `select id from pages where id::text like '${pages.prefix}-%'` }), // prettier-ignore
  ].join('\n');
}

export function reportPage(result: LoadResult, judged: readonly Judged[]): string {
  const when = result.startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
  const title = `octavo load ${result.scenario}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}, ${escapeHtml(when)}</title>
<style>${REPORT_STYLE}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><p>${escapeHtml(when)} · ${escapeHtml(result.target)} · octavo ${escapeHtml(result.octavo)}</p><code>${escapeHtml(result.command)}</code></header>
${verdicts(result, judged)}
<div class="tiles">${tiles(result)}</div>
${latencyTable(result)}
<div class="charts">
${[...latencyCharts(result), ...otherCharts(result)].filter(Boolean).join('\n')}
</div>
<div class="boxes">
${details(result)}
</div>
<script>${REPORT_SCRIPT}</script>
</body>
</html>
`;
} // prettier-ignore
