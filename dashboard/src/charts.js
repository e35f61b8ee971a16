// Pictures of memory over time. Colours come from the style sheet, so that light, dark and print agree.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { gib } from "./format.js";
import { html } from "./html.js";

const GIB = 2 ** 30;
const HEIGHT_PX = 260;
const stepped = /** @type {(opts: {align: number}) => any} */ (/** @type {any} */ (uPlot.paths).stepped);

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {string} value @param {number} alpha */
function faint(value, alpha) {
  const hex = value.replace("#", "");
  const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

function axes() {
  const grid = { stroke: colour("--line"), width: 1 };
  const common = { stroke: colour("--muted"), grid, ticks: { ...grid, size: 4 }, font: "12px system-ui, sans-serif" };
  return [
    { ...common, space: 70, values: (/** @type {any} */ _, /** @type {number[]} */ times) =>
      times.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: times[1] - times[0] < 60 ? "2-digit" : undefined })) },
    { ...common, size: 68, values: (/** @type {any} */ _, /** @type {number[]} */ values) => {
      // As many places as the step needs: 1.5 must not read as 2.
      const step = (values[1] ?? GIB) / GIB;
      return values.map((v) => `${(v / GIB).toFixed(step % 1 === 0 ? 0 : step % 0.5 === 0 ? 1 : 2)} GiB`);
    },
      // Whole parts of a GiB, not of a billion.
      splits: (/** @type {any} */ _u, /** @type {any} */ _a, /** @type {number} */ low, /** @type {number} */ high) => {
        const step = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((n) => n * GIB).find((n) => (high - low) / n <= 5) ?? 1024 * GIB;
        return Array.from({ length: Math.floor(high / step) + 1 }, (_x, i) => i * step);
      } },
  ];
}

/**
 * One uPlot picture that keeps the width of its place and follows light and dark.
 * @param {{make: () => any, data: any[][], label: string}} props  make: uPlot options without size
 */
function Plot({ make, data, label }) {
  const place = useRef(/** @type {HTMLDivElement|null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const shape = data.length;
  useEffect(() => {
    const node = /** @type {HTMLDivElement} */ (place.current);
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot({ width: Math.max(200, node.clientWidth), height: HEIGHT_PX, cursor: { points: { size: 6 } }, legend: { show: false }, ...make() }, /** @type {any} */ (data), node);
    };
    build();
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(200, node.clientWidth), height: HEIGHT_PX }));
    sizes.observe(node);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", build);
    return () => {
      scheme.removeEventListener("change", build);
      sizes.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [data]);
  return html`<div class="plot" ref=${place} role="img" aria-label=${label}></div>`;
}

/** Booked, available now and in use of one server. @param {{points: any[], name: string}} props */
export function ServerChart({ points, name }) {
  const data = [
    points.map((p) => p.time), points.map((p) => p.maximum_bytes), points.map((p) => p.balloon_bytes), points.map((p) => p.used_bytes),
  ];
  const last = points[points.length - 1];
  const make = () => ({
    axes: axes(),
    scales: { y: { range: (/** @type {any} */ _, /** @type {number} */ _low, /** @type {number} */ high) => [0, (high || GIB) * 1.06] } },
    series: [
      {},
      { label: "Booked", stroke: colour("--booked"), dash: [5, 4], width: 1.5, points: { show: false } },
      { label: "Available now", stroke: colour("--spare"), fill: faint(colour("--spare"), 0.28), width: 1.5, paths: stepped({ align: 1 }), points: { show: false } },
      { label: "In use", stroke: colour("--used"), fill: faint(colour("--used"), 0.55), width: 2, points: { show: false } },
    ],
  });
  const words = last ? `Memory of ${name} over time. Last: ${gib(last.used_bytes)} in use, ${gib(last.balloon_bytes)} available now, ${gib(last.maximum_bytes)} booked` : `Memory of ${name}`;
  return html`<${Plot} make=${make} data=${data} label=${words} />`;
}

/** Who holds the host's memory: servers stacked up to the pool. @param {{times: number[], names: string[], values: (number|null)[][], pool: (number|null)[]}} props */
export function HostChart({ times, names, values, pool }) {
  // Stacked by adding up; drawn from the top so that each lower one covers the rest.
  const sums = /** @type {number[][]} */ ([]);
  let base = times.map(() => 0);
  for (const row of values) {
    base = base.map((sum, i) => sum + (row[i] ?? 0));
    sums.push(base);
  }
  const data = [times, pool, ...[...sums].reverse()];
  const tones = names.map((_, i) => colour(`--tone-${(i % 8) + 1}`)).reverse();
  const make = () => ({
    axes: axes(),
    scales: { y: { range: (/** @type {any} */ _, /** @type {number} */ _low, /** @type {number} */ high) => [0, (high || GIB) * 1.06] } },
    series: [
      {},
      { label: "Pool", stroke: colour("--booked"), dash: [5, 4], width: 1.5, points: { show: false } },
      ...tones.map((tone) => ({ stroke: colour("--paper"), width: 1, fill: tone, paths: stepped({ align: 1 }), points: { show: false } })),
    ],
  });
  return html`<${Plot} make=${make} data=${data} label=${`Memory held by ${names.length} servers over time, and the pool`} />
    <ul class="legend" aria-label="Servers in the picture">
      ${names.slice(0, 16).map((name, i) => html`<li><i class=${`key tone-${(i % 8) + 1}`}></i>${name}</li>`)}
      ${names.length > 16 && html`<li>and ${names.length - 16} more</li>`}
      <li><i class="key booked"></i>Pool</li>
    </ul>`;
}

/** A small line of what is in use within what is available. @param {{points: any[]|undefined}} props */
export function Spark({ points }) {
  const known = (points ?? []).filter((p) => p.used_bytes != null);
  if (known.length < 2) return html`<div class="spark none">${points ? "no history yet" : ""}</div>`;
  const [first, last] = [known[0].time, known[known.length - 1].time];
  const top = Math.max(...known.map((p) => p.maximum_bytes)) || 1;
  const path = (/** @type {string} */ member) => known.map((p, i) =>
    `${i ? "L" : "M"}${((100 * (p.time - first)) / (last - first || 1)).toFixed(1)} ${(28 - (26 * p[member]) / top).toFixed(1)}`).join("");
  return html`<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
    <path class="available" d=${`${path("balloon_bytes")}L100 28L0 28Z`} />
    <path class="in-use" d=${`${path("used_bytes")}L100 28L0 28Z`} />
    <path class="edge" d=${path("used_bytes")} />
  </svg>`;
}
