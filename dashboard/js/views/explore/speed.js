/** Whether it is the bridge or the provider that takes its time: percentiles, and how calls are spread. */

import { html } from "htm/preact";
import { barsOf } from "../../charts/statistics.js";
import { Table } from "../../parts/figures.js";
import { duration, plural, short } from "../../text/format.js";

const PARTS = ["p50", "p95", "p99"];
const ROWS = [
  ["Whole call", "duration_ms", duration],
  ["First byte", "first_byte_ms", duration],
  ["Of that the bridge", "bridge_ms", duration],
  ["Tokens a second", "tokens_per_second", short],
];
const HEIGHT = 24;
const WIDTH = 5;

/** Of all calls that the search finds: those of one user or model where it names them. */
export function Speed(figures) {
  return html`<section class="card apart"><h2>How fast</h2><${SpeedTable} ...${figures} /></section>`;
}

/** The same without a card. `total` and `histograms` are as `/stats` has them. */
export function SpeedTable({ total, histograms }) {
  return html`
    <${Table} label="How fast" kind="breakdown" heads=${html`<th>Time</th><th class="number">Median</th><th class="number">p95</th><th class="number">p99</th><th>How calls are spread</th>`}>
      ${ROWS.map(
        ([name, field, format]) => html`
          <tr key=${field}>
            <td>${name}</td>
            ${PARTS.map((part) => html`<td key=${part} class="number">${total[field] ? format(total[field][part]) : "–"}</td>`)}
            <td><${Histogram} bars=${barsOf(histograms?.[field] ?? [])} format=${format} /></td>
          </tr>
        `,
      )}
    <//>
  `;
}

function Histogram({ bars, format }) {
  if (!bars.length) return "–";
  const most = Math.max(...bars.map(({ calls }) => calls));
  const { upTo } = bars.find(({ calls }) => calls === most);
  const text = `Most calls have up to ${format(upTo)}, all up to ${format(bars.at(-1).upTo)}`;
  return html`
    <svg class="histogram" role="img" aria-label=${text} width=${bars.length * WIDTH} height=${HEIGHT}>
      ${bars.map(({ upTo: end, calls }, index) => {
        const height = calls ? Math.max(1, (HEIGHT * calls) / most) : 0;
        return html`<rect key=${index} x=${index * WIDTH} y=${HEIGHT - height} width=${WIDTH - 1} height=${height}><title>${`up to ${format(end)}: ${plural(calls, "call")}`}</title></rect>`;
      })}
    </svg>
  `;
}
