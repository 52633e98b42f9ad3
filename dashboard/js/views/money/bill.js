/** Records compared with what a provider reports and bills, by day and model. For owners and auditors. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { go, href } from "../../frame/router.js";
import { Table } from "../../parts/figures.js";
import { LineForm } from "../../parts/forms.js";
import { Toolbar } from "../../parts/list.js";
import { Failure, Loading } from "../../parts/states.js";
import { send, sendForFile } from "../../server/api.js";
import { useChange } from "../../server/resource.js";
import { percent, plural, usd, whole } from "../../text/format.js";

const PATH = "spend/reconciliation";
const PROVIDERS = [["anthropic", "Anthropic"], ["openai", "OpenAI"]];
const FIELDS = [
  { name: "provider", label: "Provider", options: PROVIDERS },
  { name: "from", label: "From", type: "date" },
  { name: "to", label: "Until before", type: "date" },
  { name: "name", label: "Only providers named", placeholder: "openai", read: (text) => text.trim() },
];
const EXACT = 1e-6; // below it a difference in dollars is none

export default function Bill({ route }) {
  return html`<${Comparison} key=${JSON.stringify(route.params)} params=${route.params} />`;
}

function Comparison({ params }) {
  const { provider, from = "", to = "", name } = params;
  const [data, setData] = useState(null);
  const [differing, setDiffering] = useState(false);
  const { busy, error, run } = useChange();
  const body = { provider, from, to, names: name ? name.split(/[\s,]+/) : [] };
  const compare = () => run(async () => setData(await send("POST", PATH, body)));
  const save = () => run(() => sendForFile(`${PATH}?format=csv`, body, `${provider}-${data.from}.csv`));
  const ask = async (given) => {
    const address = href("bill", "", given);
    if (address === location.hash) compare();
    else go(address);
  };
  useEffect(() => {
    if (provider) compare();
  }, []);
  return html`
    <section class="card">
      <h2>Compare with the bill</h2>
      <p class="quiet">What is recorded beside what the provider reports and bills, by day and model, in UTC; of this month without a first day, until today without a last one. Its reports are read now, which may take a while.</p>
      <${LineForm} fields=${FIELDS} initial=${{ provider: PROVIDERS[0][0], ...params }} verb="Compare" disabled=${busy} keeps act=${ask} />
    </section>
    ${busy && html`<${Loading} what="Reading the reports" />`}
    ${error && !busy && html`<${Failure} error=${error} retry=${compare} />`}
    ${data && !busy && !error && html`<${Rows} compared=${data} differing=${differing} onDiffering=${setDiffering} onSave=${save} />`}
  `;
}

function Rows({ compared, differing, onDiffering, onSave }) {
  const { from, to, agree, differ, results } = compared;
  const shown = differing ? results.filter(({ verdict }) => verdict === "differs") : results;
  const reportedUsd = results.reduce((sum, { reported }) => sum + (reported.cost_usd ?? 0), 0);
  const unexplained = results.reduce((sum, { verdict, difference }) => sum + (verdict === "differs" ? Math.abs(difference.cost_usd ?? 0) : 0), 0);
  const share = reportedUsd > 0 ? ` Of ${usd(reportedUsd)} that are reported, ${usd(unexplained)} (${percent(unexplained, reportedUsd)}) differ.` : "";
  const summary = results.length ? `${plural(agree, "row")} ${agree === 1 ? "agrees" : "agree"}, ${whole(differ)} ${differ === 1 ? "differs" : "differ"}` : "Nothing is recorded or reported";
  return html`
    <${Toolbar} says=${`${summary}, from ${from} until before ${to}.${share}`}>
      <button type="button" aria-pressed=${differing} onClick=${() => onDiffering(!differing)}>Differences only</button>
      <button type="button" disabled=${!results.length} onClick=${onSave}>CSV</button>
    <//>
    ${shown.length > 0 && html`<${Table} label="Recorded and reported" box="card" heads=${HEADS}>${shown.map((row) => html`<${Row} key=${row.day + row.model} row=${row} />`)}<//>`}
  `;
}

const HEADS = html`
  <th>Day</th><th>Model</th>
  <th class="number">Tokens recorded</th><th class="number">Reported</th><th class="number">Difference</th>
  <th class="number">Cost recorded</th><th class="number">Reported</th><th class="number">Difference</th>
  <th>Verdict</th><th>Likely reason</th>
`;

function Row({ row: { day, model, recorded, reported, difference, verdict, reason } }) {
  const differs = verdict === "differs";
  return html`
    <tr>
      <td>${day}</td><td>${model}</td>
      <td class="number">${tokens(recorded)}</td><td class="number">${tokens(reported)}</td><td class="number">${signed(difference.tokens, whole)}</td>
      <td class="number">${usd(recorded.cost_usd)}</td><td class="number">${usd(reported.cost_usd)}</td><td class="number">${signed(difference.cost_usd, usd, EXACT)}</td>
      <td><span class=${differs ? "bad" : "quiet"}>${verdict}</span></td><td class="reason">${reason}</td>
    </tr>
  `;
}

/** Tokens of a side; exports may have none. */
function tokens({ tokens: count }) {
  return count === null ? "not reported" : whole(count);
}

/** A difference with its sign; empty without one. */
function signed(value, format, least = 0) {
  if (value === null || Math.abs(value) <= least) return "";
  return `${value < 0 ? "−" : "+"}${format(Math.abs(value))}`;
}
