/**
 * How the report looks, and the little that it does: show the values under the pointer. No fonts, images or code from elsewhere.
 */

export const REPORT_STYLE = `
:root { --page: #f6f7f9; --card: #ffffff; --ink: #1a1f27; --soft: #5c6675; --rule: #e3e7ec; --c1: #2563c9; --c2: #d2571a; --c3: #1d8a63; --faint: #a9b2be;
  --good: #1d7a4d; --good-bg: #e4f4eb; --bad: #b3261e; --bad-bg: #fbe9e7; --warn: #8a5a00; --warn-bg: #fdf3dc; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12151a; --card: #1b2027; --ink: #e8ebf0; --soft: #9aa5b4; --rule: #2d343e; --c1: #6ea8ff; --c2: #ff9a5c; --c3: #4fd1a0; --faint: #5f6b7a;
    --good: #6fdc9f; --good-bg: #16301f; --bad: #ff9d94; --bad-bg: #3a1d1b; --warn: #f2c662; --warn-bg: #33290f; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 48px; max-width: 1180px; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { margin-bottom: 20px; }
h1 { margin: 0; font-size: 26px; letter-spacing: -0.01em; }
header p { margin: 2px 0 8px; color: var(--soft); }
code { font: 13px/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--soft); overflow-wrap: anywhere; }
.note { border-radius: 10px; padding: 10px 16px; margin: 0 0 12px; }
.note ul { margin: 6px 0 0; padding-left: 20px; }
.bad { color: var(--bad); background: var(--bad-bg); }
.warn { color: var(--warn); background: var(--warn-bg); }
.good { color: var(--good); background: var(--good-bg); }
.chips { margin: 0 0 14px; }
.chip { display: inline-block; border-radius: 999px; padding: 3px 12px; margin: 0 4px 4px 0; font-weight: 600; font-size: 14px; }
.chip small { font-weight: 400; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-bottom: 16px; }
.tile, .chart, .box, .wide { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
.tile { padding: 12px 16px; display: flex; flex-direction: column; }
.tile span, .tile em { color: var(--soft); font-size: 13px; font-style: normal; line-height: 1.35; }
.tile b { font-size: 27px; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile small { font-size: 14px; font-weight: 500; color: var(--soft); margin-left: 3px; }
.wide { padding: 6px 16px; margin-bottom: 16px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
tbody tr:last-child th, tbody tr:last-child td { border-bottom: 0; }
th { font-weight: 500; }
.figures td, .figures thead th { text-align: right; padding-left: 18px; white-space: nowrap; }
.figures th:first-child { text-align: left; padding-left: 0; font-weight: 600; }
.figures thead th { color: var(--soft); font-weight: 500; font-size: 13px; }
.figures th small { display: block; font-weight: 400; color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; margin-bottom: 16px; }
.chart { margin: 0; padding: 14px 16px 8px; }
figcaption { display: flex; gap: 10px; align-items: baseline; }
figcaption span { color: var(--soft); font-size: 13px; }
.legend { min-height: 22px; font-size: 13px; color: var(--soft); display: flex; flex-wrap: wrap; gap: 0 16px; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; background: currentColor; vertical-align: middle; margin-right: 6px; }
.legend output { color: var(--ink); font-variant-numeric: tabular-nums; }
.legend .c1 i { color: var(--c1); } .legend .c2 i { color: var(--c2); } .legend .c3 i { color: var(--c3); } .legend .faint i { color: var(--faint); }
svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
.grid { stroke: var(--rule); stroke-width: 1; }
.tick { fill: var(--soft); font-size: 12px; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); } .line.c3 { stroke: var(--c3); } .line.faint { stroke: var(--faint); stroke-width: 1.5; }
.bar { fill: var(--c1); opacity: 0.85; } .bar:hover { opacity: 1; }
.marker { stroke: var(--c2); stroke-width: 1; stroke-dasharray: 3 3; }
.pointer { stroke: var(--soft); stroke-width: 1; visibility: hidden; }
.boxes { columns: 2 440px; column-gap: 16px; }
.box { padding: 12px 16px; margin: 0 0 16px; break-inside: avoid; }
.box h2 { margin: 0 0 2px; font-size: 15px; }
.box td { text-align: right; padding-left: 16px; overflow-wrap: anywhere; }
.box th { color: var(--soft); }
@media (max-width: 640px) { .figures th small { display: none; } }
@media print { body { background: none; } .charts { display: block; } .chart { break-inside: avoid; margin-bottom: 12px; } }
`;

export const REPORT_SCRIPT = `
for (const chart of document.querySelectorAll('[data-points]')) {
  const { at, x, values } = JSON.parse(chart.dataset.points);
  const svg = chart.querySelector('svg');
  const pointer = chart.querySelector('.pointer');
  const outputs = [...chart.querySelectorAll('output')];
  const show = (value) => (value === null ? '—' : value >= 100 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toLocaleString('en', { maximumSignificantDigits: 3 }));
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    let nearest = 0;
    for (let i = 1; i < x.length; i++) if (Math.abs(x[i] - place) < Math.abs(x[nearest] - place)) nearest = i;
    pointer.setAttribute('x1', x[nearest]);
    pointer.setAttribute('x2', x[nearest]);
    pointer.style.visibility = 'visible';
    outputs.forEach((output, i) => { output.textContent = show(values[i][nearest]) + output.dataset.unit; });
    svg.setAttribute('aria-description', 'second ' + Math.round(at[nearest]));
  });
  svg.addEventListener('pointerleave', () => {
    pointer.style.visibility = 'hidden';
    for (const output of outputs) output.textContent = '';
  });
}
`;
