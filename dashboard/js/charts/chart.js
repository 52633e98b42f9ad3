/** A chart with its legend, which says the figures of the bucket under the pointer, else of the whole range. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { useTheme } from "../frame/theme.js";
import { bucketName } from "../text/format.js";
import { plot } from "./plot.js";
import { walk } from "./series.js";

/**
 * @param {string} title
 * @param {"bars" | "lines"} kind bars stand one on the other.
 * @param {number[]} times the start of each bucket, in seconds; `step` its width.
 * @param {{name: string, colour: string, values: (number | null)[], total: number, href?: string}[]} rows
 * @param {{name: string, values: (number | null)[], total: number} | null} before the same of a time before, drawn as a line.
 * @param {(value: number) => string} format
 * @param {string} nothing what to say where there is nothing to draw.
 * @param {(from: number, to: number) => void} onPick a bucket was clicked.
 * @param {(from: number, to: number) => void} onZoom a range was drawn.
 */
export function Chart({ title, kind, times, step, rows, before, format, nothing, onPick, onZoom }) {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  const [index, setIndex] = useState(null);
  const drawn = useRef(null);
  const anchor = useRef(null);
  // A plot that stays as it is leads where the page says now.
  const ways = useRef();
  ways.current = { onPick, onZoom };
  const { version } = useTheme();
  const blank = rows.every(({ total }) => !total);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!width || blank) return undefined;
    const latest = { onPick: (...ends) => ways.current.onPick(...ends), onZoom: (...ends) => ways.current.onZoom(...ends) };
    const { options, data } = plot({ kind, times, step, rows, before, format }, { width, onHover: setIndex, ...latest });
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
      (first === last ? onPick : onZoom)(times[first], times[last] + step);
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
