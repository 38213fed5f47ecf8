/**
 * Charts as SVG text: lines over time and bars over a logarithmic axis. Colours and fonts come from the page (`html.ts`), by classes;
 * what a line says under the pointer is in `data-points`, for the page's script. Pure.
 */
import { number } from './table.ts';

const WIDTH = 640;
const HEIGHT = 240;
const LEFT = 58;
const RIGHT = 14;
const TOP = 12;
const BOTTOM = 40;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = HEIGHT - TOP - BOTTOM;
/** Between largest and smallest value, from which on a logarithmic axis says more. */
const LOG_FROM = 30;
const TICKS = 5;

export interface Series {
  readonly name: string;
  /** Of the page's style: c1, c2 …, or `faint`. */
  readonly colour: string;
  /** null: nothing at that moment; the line is interrupted. */
  readonly values: readonly (number | null)[];
  readonly unit?: string;
}

export interface LineChart {
  readonly title: string;
  readonly about: string;
  readonly unit: string;
  /** Seconds, ascending. */
  readonly at: readonly number[];
  readonly series: readonly Series[];
  readonly log?: boolean;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
} // prettier-ignore

/** Round numbers from 0 to at least `max`. */
export function linearTicks(max: number): number[] {
  const raw = Math.max(max, 1e-9) / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * (1 - 1e-9))!;
  const ticks: number[] = [];
  for (let i = 0; i * step < max + step * (1 - 1e-9); i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/** Powers of ten, and around them the nearest 1, 2 or 5; where there are few powers, all of these. */
export function logTicks(min: number, max: number): number[] {
  const fine: number[] = [];
  for (let power = Math.floor(Math.log10(min)) - 1; power <= Math.ceil(Math.log10(max)); power++) {
    for (const factor of [1, 2, 5]) fine.push(Number((factor * 10 ** power).toPrecision(6)));
  }
  const first = fine.findLastIndex((tick) => tick <= min);
  const last = Math.max(fine.findIndex((tick) => tick >= max), first + 1); // prettier-ignore
  const within = fine.slice(first, last + 1);
  if (within.length <= TICKS) return within;
  // Every third is a power of ten.
  return within.filter(
    (tick, i) => i === 0 || i === within.length - 1 || /^0\.0*1$|^10*$/.test(String(tick)),
  );
}

interface Scale {
  readonly ticks: readonly number[];
  y(value: number): number;
}

function scaleOf(values: readonly number[], wantsLog: boolean): Scale {
  const max = Math.max(...values, 0);
  const positive = values.filter((value) => value > 0);
  const min = Math.min(...positive);
  const bottom = TOP + PLOT_HEIGHT;
  if (wantsLog && positive.length > 0 && max / min > LOG_FROM) {
    const ticks = logTicks(min, max);
    const [low, high] = [Math.log10(ticks[0]!), Math.log10(ticks.at(-1)!)];
    const y = (value: number) => bottom - (PLOT_HEIGHT * (Math.log10(Math.max(value, ticks[0]!)) - low)) / (high - low);
    return { ticks, y };
  }
  const ticks = linearTicks(max);
  const high = ticks.at(-1)! || 1;
  return { ticks, y: (value) => bottom - (PLOT_HEIGHT * value) / high };
} // prettier-ignore

const at = (value: number): string => value.toFixed(1);
/** As short as it is. */
const tickText = (tick: number): string => (tick < 10 ? String(tick) : number(tick));

function frame(scale: Scale, xTicks: readonly (readonly [number, string])[], xName: string): string {
  const lines = scale.ticks.map((tick) => {
    const y = at(scale.y(tick));
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}"/><text class="tick" x="${LEFT - 8}" y="${y}" dy="0.35em" text-anchor="end">${tickText(tick)}</text>`;
  });
  const marks = xTicks.map(([x, label]) => `<text class="tick" x="${at(Math.min(x, WIDTH - RIGHT))}" y="${HEIGHT - 23}" text-anchor="${x > WIDTH - 2 * RIGHT ? 'end' : 'middle'}">${label}</text>`);
  return `${lines.join('')}${marks.join('')}<text class="tick" x="${WIDTH - RIGHT}" y="${HEIGHT - 6}" text-anchor="end">${xName}</text>`;
} // prettier-ignore

function figure(title: string, about: string, legend: string, svg: string, data = ''): string {
  return `<figure class="chart"${data}><figcaption><b>${escapeHtml(title)}</b><span>${escapeHtml(about)}</span></figcaption>
<div class="legend">${legend}</div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${svg}</svg></figure>`;
}

/** The line's pieces: broken where there is no value. */
function pathOf(values: readonly (number | null)[], x: (i: number) => number, y: (value: number) => number): string {
  let path = '';
  let isDown = false;
  for (const [i, value] of values.entries()) {
    if (value === null) {
      isDown = false;
      continue;
    }
    path += `${isDown ? 'L' : 'M'}${at(x(i))} ${at(y(value))}`;
    // A moment alone would not show.
    if (!isDown && (values[i + 1] ?? null) === null) path += 'h0.1';
    isDown = true;
  }
  return path;
} // prettier-ignore

export function lineChart({ title, about, unit, at: moments, series, log = false }: LineChart): string {
  const shown = series.filter(({ values }) => values.some((value) => value !== null));
  const values = shown.flatMap((one) => one.values.filter((value): value is number => value !== null));
  if (values.length === 0 || moments.length === 0) return '';
  const scale = scaleOf(values, log);
  const end = moments.at(-1)! || 1;
  const x = (i: number) => LEFT + (PLOT_WIDTH * moments[i]!) / end;
  const seconds = linearTicks(end).filter((tick) => tick <= end);
  const xTicks = seconds.map((tick) => [LEFT + (PLOT_WIDTH * tick) / end, tickText(tick)] as const);
  const lines = shown.map(
    ({ colour, values: each }) => `<path class="line ${colour}" d="${pathOf(each, x, scale.y)}"/>`,
  );
  const legend = shown.map(({ name, colour, unit: own }) => `<span class="${colour}"><i></i>${escapeHtml(name)} <output data-unit="${own ?? unit}"></output></span>`).join('');
  const points = { at: moments, x: moments.map((_, i) => Number(at(x(i)))), values: shown.map((one) => one.values) };
  const data = ` data-points="${escapeHtml(JSON.stringify(points, (_, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value)))}"`;
  const pointer = `<line class="pointer" y1="${TOP}" y2="${TOP + PLOT_HEIGHT}" x1="0" x2="0"/>`;
  return figure(title, about, legend, frame(scale, xTicks, 'seconds') + lines.join('') + pointer, data);
} // prettier-ignore

export interface Marker {
  readonly name: string;
  readonly value: number;
}

/** How many took how long; markers stand at quantiles. */
export function barChart(
  title: string,
  about: string,
  bars: readonly (readonly [from: number, to: number, count: number])[],
  markers: readonly Marker[],
): string {
  if (bars.length === 0) return '';
  const ticks = logTicks(bars[0]![0], bars.at(-1)![1]);
  const [low, high] = [Math.log10(bars[0]![0]), Math.log10(bars.at(-1)![1])];
  const x = (value: number) => LEFT + (PLOT_WIDTH * (Math.log10(value) - low)) / Math.max(1e-9, high - low);
  const scale = scaleOf(bars.map(([, , count]) => count), false); // prettier-ignore
  const bottom = TOP + PLOT_HEIGHT;
  const total = bars.reduce((sum, [, , count]) => sum + count, 0);
  const rects = bars.map(([from, to, count]) => {
    const [left, right, top] = [x(from), x(to), Math.min(scale.y(count), bottom - 1)];
    const share = ((100 * count) / total).toPrecision(2);
    return `<rect class="bar" x="${at(left + 0.5)}" width="${at(Math.max(1, right - left - 1))}" y="${at(top)}" height="${at(bottom - top)}"><title>${number(from)} to ${number(to)} ms: ${number(count)} (${Number(share)} %)</title></rect>`;
  }); // prettier-ignore
  let lastX = -Infinity;
  const marks = markers
    .filter(({ value }) => value >= bars[0]![0])
    .map(({ name, value }) => {
      const place = Math.min(x(value), WIDTH - RIGHT);
      // Names that would lie on each other are left out; the line stays.
      const label =
        place - lastX > 38
          ? `<text class="tick" x="${at(place)}" y="${TOP - 3}" text-anchor="middle">${name}</text>`
          : '';
      if (label) lastX = place;
      return `<line class="marker" x1="${at(place)}" x2="${at(place)}" y1="${TOP}" y2="${bottom}"/>${label}`;
    });
  const xTicks = ticks.filter((tick) => tick >= bars[0]![0] && tick <= bars.at(-1)![1]).map((tick) => [x(tick), tickText(tick)] as const); // prettier-ignore
  return figure(title, about, '', frame(scale, xTicks, 'ms, each step a quarter more') + rects.join('') + marks.join('')); // prettier-ignore
}
