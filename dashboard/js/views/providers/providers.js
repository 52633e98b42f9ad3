/** Providers: a list with the health of each, and the chosen one beside it. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Bar } from "../../bar/bar.js";
import { searchFor } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { go, href } from "../../frame/router.js";
import { NewOne } from "../../parts/forms.js";
import { List, Pane } from "../../parts/list.js";
import { Empty, Pending } from "../../parts/states.js";
import { send } from "../../server/api.js";
import { useResource } from "../../server/resource.js";
import { linesOf, percent, plural } from "../../text/format.js";
import { providerTypes } from "../../text/vocabulary.js";
import { waits } from "./performance.js";
import { ProviderPane } from "./provider.js";

const EVERY_MS = 15_000;
const USUAL = "24h";
const MAX_PROVIDERS = 1000;
const COLUMNS = "minmax(0, 1.4fr) 90px 130px minmax(0, 1fr) minmax(0, 1.2fr)";

export default function Providers({ route: { id, params }, route, user: me }) {
  const [adding, setAdding] = useState(false);
  const listed = useResource("providers/configured", {}, { every: EVERY_MS });
  const range = chosenRange(params, USUAL);
  const span = asked(range);
  const stats = useResource("stats", { ...span, group_by: "provider", bucket: "all", limit: MAX_PROVIDERS }, { every: EVERY_MS });
  const kept = { ...rangeParams(params), tz: params.tz };
  const { model } = params;
  // Of a model alone the page of the provider opens that has most of its calls.
  const serving = useResource(model && !id ? "stats" : null, { ...span, group_by: "provider", bucket: "all", q: searchFor({ model }), limit: 1 });
  const chosen = id || (model && serving.data?.groups[0]?.group.provider) || "";
  const rows = listed.data ?? [];
  const found = rows.find(({ name }) => name === chosen);
  const show = (name = "") => {
    setAdding(false);
    listed.reload();
    go(href("providers", name, kept));
  };
  const totals = Object.fromEntries((stats.data?.groups ?? []).map(({ group, total }) => [group.provider, total]));
  const pane = (close) => {
    if (found) {
      return html`<${ProviderPane} key=${found.name} listed=${found} me=${me} keys=${keysOf(found)} span=${span} range=${rangeParams(params, USUAL)} model=${model} tz=${range.tz} onClose=${close} onChanged=${listed.reload} onRemoved=${() => show()} />`;
    }
    return (
      listed.data &&
      html`<${Pane} label="Provider" title=${chosen} onClose=${close}>
        <${Empty} title="There is no such provider"><p>It may have been removed; see the <a href=${href("audit")}>audit trail</a>.</p><//>
      <//>`
    );
  };
  return html`
    <${Bar} route=${route} user=${me} chosen=${range} id=${chosen} />
    <div class="toolbar">
      <p role="status" class="quiet">${[listed.data && plural(rows.length, "provider"), stats.data && `calls of ${rangeText(timesOf(stats.data), range.tz)}, ${range.tz}`].filter(Boolean).join("; ")}</p>
      <a href=${href("audit")}>Audit trail</a>
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a provider</button>`}
    </div>
    ${adding && html`<${AddProvider} onAdded=${({ name }) => show(name)} onClose=${() => setAdding(false)} />`}
    <${Pending} data=${listed.data} error=${listed.error} retry=${listed.reload} />
    <${List} view="providers" label="Providers" columns=${COLUMNS} rows=${rows} rowOf=${(one) => rowOf(one, totals[one.name])} chosen=${chosen} kept=${kept} pane=${pane} />
  `;
}

function rowOf(provider, total) {
  const { name, type, state, source } = provider;
  return {
    id: name,
    cells: html`
      <span><b>${name}</b> <span class="quiet">${type}${source === "environment" ? ", environment" : ""}</span></span>
      <span><span class="role">${state}</span></span>
      <span class="quiet">${keysOf(provider)}</span>
      <span class="quiet">${total ? plural(total.interceptions, "call") : "no calls"}${total?.failed ? `, ${percent(total.failed, total.interceptions)} failed` : ""}</span>
      <span class="quiet">${total?.first_byte_ms ? `first byte ${waits(total.first_byte_ms)}` : ""}</span>
    `,
  };
}

/** The state of the credential in a word or two. */
function keysOf({ key_state: state, keys }) {
  if (keys.length) {
    const refused = keys.filter((key) => key.refused).length;
    return plural(keys.length, "key") + (refused ? `, ${refused} refused` : "");
  }
  return { key: "signed", keyless: "needs no key", no_key: "users' keys" }[state];
}

function AddProvider({ onAdded, onClose }) {
  const fields = [
    { name: "name", label: "Name", hint: "In the address of its calls: lower-case letters, digits and single hyphens.", required: true, autocapitalize: "off" },
    { name: "type", label: "Type", options: providerTypes() },
    { name: "base_url", label: "Base URL", hint: "If empty, the address of the type's vendor.", inputmode: "url" },
    { name: "region", label: "Region", when: ({ type }) => /^(vertex|bedrock|claude-aws)/.test(type) },
    { name: "project", label: "Project", when: ({ type }) => type === "vertex" },
    { name: "keys", label: "Keys", hint: "One a line, at most 5; the first is tried first. They are never shown again.", rows: 2, read: linesOf },
  ];
  return html`<${NewOne} title="Add a provider" fields=${fields} initial=${{ type: "openai" }} add=${(given) => send("POST", "providers", given).then(onAdded)} onClose=${onClose} />`;
}
