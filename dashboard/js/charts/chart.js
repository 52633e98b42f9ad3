/** A chart with its legend, which says the figures of the bucket under the pointer, else of the whole range. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { bucketsOf, timesBetween } from "../bar/range.js";
import { colour, useTheme } from "../frame/theme.js";
import { bucketName, day, short } from "../text/format.js";
import { bucketAt, dayTicks, lonely, stacked, walk } from "./statistics.js";

/**
 * @param {string} title
 * @param {"bars" | "lines"} kind bars stand one on the other.
 * @param {Object} stats statistics of the API, whose buckets are drawn.
 * @param {{name: string, colour: string, values: (number | null)[], total: number, href?: string}[]} rows
 * @param {{name: string, values: (number | null)[], total: number} | null} before the same of a time before, drawn as a line.
 * @param {(value: number) => string} format
 * @param {string} nothing what to say where there is nothing to draw.
 * @param {(from: string, to: string) => void} onPick a bucket was clicked; the times are as the API has them.
 * @param {(from: string, to: string) => void} onZoom a range was drawn.
 */
export function Chart({ title, kind, stats, rows, before, format, nothing, ...ways }) {
  const buckets = bucketsOf(stats);
  const { drawn: times, step } = buckets;
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  const [index, setIndex] = useState(null);
  const drawn = useRef(null);
  const anchor = useRef(null);
  // A plot that stays as it is leads where the page says now.
  const go = useRef();
  go.current = (way, from, to) => {
    const ends = timesBetween(buckets, from, to, Date.parse(stats.to));
    ways[way](new Date(ends.from).toISOString(), new Date(ends.to).toISOString());
  };
  const { version } = useTheme();
  const blank = rows.every(({ total }) => !total);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!width || blank) return undefined;
    const [onPick, onZoom] = ["onPick", "onZoom"].map((way) => (...ends) => go.current(way, ...ends));
    const { options, data } = plot({ kind, times, step, rows, before, format }, { width, onHover: setIndex, onPick, onZoom });
    const chart = new uPlot(options, data, box.current);
    drawn.current = chart;
    return () => {
      chart.destroy();
      drawn.current = null;
    };
  }, [width, version, kind, step, JSON.stringify([times[0], times.length, rows, before])]);
  const hovered = index !== null && index < times.length ? index : null;
  const shown = hovered === null ? "" : bucketName(times[hovered], step);
  const all = before ? [...rows, before] : rows;
  const said = (valueOf) => all.map((row) => `${row.name} ${format(valueOf(row))}`).join(", ");
  const onKeyDown = (event) => {
    const next = walk(event, { at: hovered, anchor: anchor.current, length: times.length });
    if (!next || !drawn.current) return;
    event.preventDefault();
    if (next.picked) {
      const [first, last] = next.picked;
      go.current(first === last ? "onPick" : "onZoom", times[first], times[last] + step);
      return;
    }
    anchor.current = next.anchor;
    point(drawn.current, times, step, next);
  };
  const use = blank
    ? { role: "img", "aria-label": `${title}: ${nothing}` }
    : {
        role: "slider",
        tabIndex: 0,
        "aria-label": `${title}: ${said(({ total }) => total)}`,
        "aria-valuemin": 0,
        "aria-valuemax": times.length - 1,
        "aria-valuenow": hovered ?? 0,
        "aria-valuetext": hovered === null ? "All" : `${shown}: ${said(({ values }) => values[hovered])}`,
        onKeyDown,
      };
  return html`
    <figure class="chart">
      <figcaption>
        <h2>${title}</h2>
        <span class="quiet when">${shown}</span>
        <ul class="legend flow">
          ${!blank && all.map(
            ({ name, colour, values, total, href }) => html`
              <li key=${name}>
                <i class=${colour ? "swatch" : "swatch dashed"} style=${colour && { background: `var(--${colour})` }}></i>
                ${href ? html`<a href=${href}>${name}</a>` : name}${" "}
                <b>${format(hovered === null ? total : values[hovered])}</b>
              </li>
            `,
          )}
        </ul>
      </figcaption>
      ${blank && html`<p class="quiet">${nothing}</p>`}
      <div class="plot" ref=${box} ...${use}></div>
    </figure>
  `;
}

/** Show where the keys are, and the range that they chose. */
function point(chart, times, step, { at, anchor }) {
  const x = (seconds) => chart.valToPos(seconds, "x");
  chart.setCursor({ left: x(times[at] + step / 2), top: 0 });
  const [first, last] = anchor === null ? [at, at] : [Math.min(at, anchor), Math.max(at, anchor)];
  const left = x(times[first]);
  const width = anchor === null ? 0 : x(times[last] + step) - left;
  chart.setSelect({ left, top: 0, width, height: width ? chart.over.clientHeight : 0 }, false);
}

const HEIGHT = 190;
// Steps of an axis of counts: there is no half call.
const WHOLE = Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
const FONT = "11px system-ui, sans-serif";

/**
 * The options and the data of a plot.
 *
 * @param {Object} chart `{kind: "bars" | "lines", times, step, rows, before, format}`; `step` is the width of a bucket in seconds, and
 *   `before` a row that is drawn as a line over all others, or nothing.
 * @param {{width: number, onHover: Function, onPick: Function, onZoom: Function}} use
 */
function plot({ kind, times, step, rows, before, format = short }, { width, onHover, onPick, onZoom }) {
  const bars = kind === "bars";
  const sums = bars ? stacked(rows) : rows.map(({ values }) => values);
  const order = rows.map((_, index) => index);
  if (bars) order.reverse(); // the highest is drawn first, and what is before it covers it from below
  const quiet = colour("quiet");
  const line = colour("line");
  const axis = { stroke: quiet, font: FONT, ticks: { show: false }, border: { show: false } };
  const options = {
    width,
    height: HEIGHT,
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: !bars, size: 7 },
      drag: { x: true, y: false, setScale: false },
      dataIdx: (_, __, nearest, at) => bucketAt(times, step, at) ?? nearest, // a bucket begins at its time, and is not around it
    },
    select: { show: true },
    scales: {
      x: { time: true, range: () => [times[0], times.at(-1) + step] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] },
    },
    axes: [
      { ...axis, size: 26, space: 64, grid: { show: false }, values: clockValues(step), ...(step >= 86_400 ? dayTicks(times, step) : {}) },
      {
        ...axis,
        ...(format === short ? { incrs: WHOLE } : {}),
        size: (_, texts) => Math.max(52, 12 + 7 * Math.max(0, ...(texts ?? []).map(({ length }) => length))),
        space: 34,
        grid: { stroke: line, width: 1 },
        values: (_, values) => values.map((value) => format(value)),
      },
    ],
    series: [{}, ...order.map((index) => seriesOf(rows[index], { bars })), ...(before ? [outlined()] : [])],
    hooks: {
      setCursor: [(self) => onHover(self.cursor.left < 0 ? null : bucketAt(times, step, self.posToVal(self.cursor.left, "x")))],
      setSelect: [(self) => selected(self, onZoom)],
      ready: [(self) => pickable(self, times, step, onPick)],
    },
  };
  return { options, data: [times, ...order.map((index) => sums[index]), ...(before ? [before.values] : [])] };
}

/** A row over the others that does not hide them. */
function outlined() {
  const paths = uPlot.paths.stepped({ align: 1, extend: true });
  return { stroke: colour("ink"), width: 1, dash: [4, 3], paths, points: { show: false } };
}

function seriesOf({ colour: name }, { bars }) {
  const ink = colour(name);
  const points = { show: true, size: 6, fill: ink, filter: (self, series) => lonely(self.data[series]) };
  if (!bars) return { stroke: ink, width: 2, spanGaps: false, points };
  const paths = uPlot.paths.bars({ size: [0.82, 48], align: 1, radius: 0 });
  return { fill: ink, width: 0, paths, points: { show: false } };
}

/** Hours within a day, and days: never both in one label. */
function clockValues(step) {
  const hours = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const zone = step >= 86_400 ? "UTC" : undefined;
  return (_, splits) =>
    splits.map((at) => {
      const moment = new Date(at * 1000);
      const midnight = step >= 86_400 || (moment.getHours() === 0 && moment.getMinutes() === 0);
      return midnight ? day(moment, new Date(), zone) : moment.toLocaleTimeString("en-GB", hours);
    });
}

function selected(self, onZoom) {
  const { left, width } = self.select;
  if (width < 8) return;
  self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom(self.posToVal(left, "x"), self.posToVal(left + width, "x"));
}

/** A press that does not move picks the bucket under it. */
function pickable(self, times, step, onPick) {
  let down = null;
  self.over.addEventListener("mousedown", ({ clientX }) => (down = clientX));
  self.over.addEventListener("click", ({ clientX }) => {
    if (down === null || Math.abs(clientX - down) >= 8) return;
    const index = bucketAt(times, step, self.posToVal(clientX - self.over.getBoundingClientRect().left, "x"));
    if (index !== null) onPick(times[index], times[index] + step);
  });
}
