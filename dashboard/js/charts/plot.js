/** Options for uPlot, so that a chart looks like the rest of the page. */

import uPlot from "uplot";
import { colour } from "../frame/theme.js";
import { day, short } from "../text/format.js";
import { bucketAt, dayTicks, lonely, stacked } from "./series.js";

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
export function plot({ kind, times, step, rows, before, format = short }, { width, onHover, onPick, onZoom }) {
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
