/** A chart with its legend, which says the figures of the bucket under the pointer, else of the whole range. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { bucketName } from "../format.js";
import { useTheme } from "../theme.js";
import { plot } from "./plot.js";

/**
 * @param {string} title
 * @param {"bars" | "lines"} kind bars stand one on the other.
 * @param {number[]} times the start of each bucket, in seconds; `step` its width.
 * @param {{name: string, colour: string, values: (number | null)[], total: number, href?: string}[]} rows
 * @param {(value: number) => string} format
 * @param {string} nothing what to say where there is nothing to draw.
 * @param {(from: number, to: number) => void} onPick a bucket was clicked.
 * @param {(from: number, to: number) => void} onZoom a range was drawn.
 */
export function Chart({ title, kind, times, step, rows, format, nothing, onPick, onZoom }) {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  const [index, setIndex] = useState(null);
  const { version } = useTheme();
  const blank = rows.every(({ total }) => !total);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!width || blank) return undefined;
    const { options, data } = plot({ kind, times, step, rows, format }, { width, onHover: setIndex, onPick, onZoom });
    const chart = new uPlot(options, data, box.current);
    return () => chart.destroy();
  }, [width, version, kind, step, JSON.stringify([times[0], times.length, rows])]);
  const hovered = index !== null && index < times.length ? index : null;
  const summary = rows.map(({ name, total }) => `${name} ${format(total)}`).join(", ");
  return html`
    <figure class="chart">
      <figcaption>
        <h2>${title}</h2>
        <span class="quiet when">${hovered === null ? "" : bucketName(times[hovered], step)}</span>
        <ul class="legend">
          ${!blank && rows.map(
            ({ name, colour, values, total, href }) => html`
              <li key=${name}>
                <i class="swatch" style=${{ background: `var(--${colour})` }}></i>
                ${href ? html`<a href=${href}>${name}</a>` : name}${" "}
                <b>${format(hovered === null ? total : values[hovered])}</b>
              </li>
            `,
          )}
        </ul>
      </figcaption>
      ${blank && html`<p class="quiet">${nothing}</p>`}
      <div class="plot" ref=${box} role="img" aria-label=${`${title}: ${blank ? nothing : summary}`}></div>
    </figure>
  `;
}
