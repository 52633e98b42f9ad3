/** Providers: a list with the health of each, and the chosen one beside it. For owners and auditors. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { percent, plural } from "../../text/format.js";
import { waits } from "./performance.js";
import { useOpenRow } from "../../frame/keys.js";
import { searchFor } from "../../bar/query.js";
import { Empty, NotForYou, Pending } from "../../parts/states.js";
import { Pane } from "../../parts/pane.js";
import { useResource } from "../../server/resource.js";
import { go, href } from "../../frame/router.js";
import { Bar } from "../../bar/bar.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { seesEverything } from "../../frame/shell.js";
import { AddProvider } from "./add_provider.js";
import { ProviderPane } from "./provider.js";

const EVERY_MS = 15_000;
const USUAL = "24h";
const MAX_PROVIDERS = 1000;
const LINKS = ".rows a.provider-row";

export function Providers({ route, user }) {
  if (!seesEverything(user)) return html`<${NotForYou} what="how providers are reached" />`;
  return html`<${List} chosen=${route.id} route=${route} me=${user} />`;
}

function List({ chosen: opened, route, me }) {
  const [adding, setAdding] = useState(false);
  const listed = useResource("providers/configured", {}, { every: EVERY_MS });
  const range = chosenRange(route.params, USUAL);
  const span = asked(range);
  const stats = useResource("stats", { ...span, group_by: "provider", bucket: "all", limit: MAX_PROVIDERS }, { every: EVERY_MS });
  const kept = { ...rangeParams(route.params), tz: route.params.tz };
  const { model } = route.params;
  // Of a model alone the page of the provider opens that has most of its calls.
  const serving = useResource(model && !opened ? "stats" : null, { ...span, group_by: "provider", bucket: "all", q: searchFor({ model }), limit: 1 });
  const chosen = opened || (model && serving.data?.groups[0]?.group.provider) || "";
  const rows = listed.data ?? [];
  const found = rows.find(({ name }) => name === chosen);
  const close = useOpenRow(LINKS, chosen, href("providers", "", kept));
  const added = ({ name }) => {
    setAdding(false);
    listed.reload();
    go(href("providers", name, kept));
  };
  const removed = () => {
    go(href("providers", "", kept));
    listed.reload();
  };
  const totals = Object.fromEntries((stats.data?.groups ?? []).map(({ group, total }) => [group.provider, total]));
  return html`
    <${Bar} route=${route} user=${me} chosen=${range} id=${chosen} />
    <div class="toolbar">
      <p role="status" class="quiet">${[listed.data && plural(rows.length, "provider"), stats.data && `calls of ${rangeText(timesOf(stats.data), range.tz)}, ${range.tz}`].filter(Boolean).join("; ")}</p>
      <a href=${href("audit")}>Audit trail</a>
      ${me.role === "owner" && html`<button type="button" onClick=${() => setAdding(true)}>Add a provider</button>`}
    </div>
    ${adding && html`<${AddProvider} onAdded=${added} onClose=${() => setAdding(false)} />`}
    <${Pending} data=${listed.data} error=${listed.error} retry=${listed.reload} />
    <div class="split" data-open=${chosen ? "" : undefined}>
      <section class="list" aria-label="Providers">
        <ol class="rows">
          ${rows.map((one) => html`<${Row} key=${one.name} provider=${one} total=${totals[one.name]} chosen=${one === found} kept=${kept} />`)}
        </ol>
      </section>
      ${found && html`<${ProviderPane} key=${found.name} listed=${found} me=${me} keys=${keysOf(found)} span=${span} range=${rangeParams(route.params, USUAL)} model=${model} tz=${range.tz} onClose=${close} onChanged=${listed.reload} onRemoved=${removed} />`}
      ${chosen &&
      !found &&
      listed.data &&
      html`<${Pane} label="Provider" title=${chosen} onClose=${close}>
        <${Empty} title="There is no such provider"><p>It may have been removed; see the <a href=${href("audit")}>audit trail</a>.</p><//>
      <//>`}
    </div>
  `;
}

/** The state of the credential in a word or two. */
function keysOf({ key_state: state, keys }) {
  if (keys.length) {
    const refused = keys.filter((key) => key.refused).length;
    return plural(keys.length, "key") + (refused ? `, ${refused} refused` : "");
  }
  return { key: "signed", keyless: "needs no key", no_key: "users' keys" }[state];
}

function Row({ provider, total, chosen, kept }) {
  const { name, type, state, source } = provider;
  const failed = total?.failed ?? 0;
  return html`
    <li>
      <a class="provider-row" href=${href("providers", name, kept)} data-name=${name} aria-current=${chosen ? "true" : undefined}>
        <span class="name"><b>${name}</b> <span class="quiet">${type}${source === "environment" ? ", environment" : ""}</span></span>
        <span class="role">${state}</span>
        <span class="quiet">${keysOf(provider)}</span>
        <span class="quiet">${total ? plural(total.interceptions, "call") : "no calls"}${failed ? `, ${percent(failed, total.interceptions)} failed` : ""}</span>
        <span class="quiet">${total?.first_byte_ms ? `first byte ${waits(total.first_byte_ms)}` : ""}</span>
      </a>
    </li>
  `;
}
