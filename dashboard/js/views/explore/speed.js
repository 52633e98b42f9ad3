/** Whether it is the bridge or the provider that takes its time, as a table. */

import { html } from "htm/preact";
import { Table } from "../../parts/figures.js";
import { duration, short, UNKNOWN } from "../../text/format.js";

const PARTS = ["p50", "p95", "p99"];
const ROWS = [
  ["Whole call", "duration_ms", duration],
  ["First byte", "first_byte_ms", duration],
  ["Of that the bridge", "bridge_ms", duration],
  ["Tokens a second", "tokens_per_second", short],
];

/** `total` is as `/stats` has it. */
export function Speed({ total }) {
  return html`
    <${Table} label="How fast" heads=${html`<th>Time</th><th class="number">Median</th><th class="number">p95</th><th class="number">p99</th>`}>
      ${ROWS.map(
        ([name, field, format]) => html`
          <tr key=${field}>
            <td>${name}</td>
            ${PARTS.map((part) => html`<td key=${part} class="number">${total[field] ? format(total[field][part]) : UNKNOWN}</td>`)}
          </tr>
        `,
      )}
    <//>
  `;
}
