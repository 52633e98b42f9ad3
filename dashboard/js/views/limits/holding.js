/** What holds for a user: limits with how near they are, which rules refused calls, and what policies say of models, sizes, keys and recording. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { withTerm } from "../../bar/query.js";
import { href } from "../../frame/router.js";
import { Reasons, Track } from "../../parts/figures.js";
import { LineForm } from "../../parts/forms.js";
import { Failure, Pending } from "../../parts/states.js";
import { useResource } from "../../server/resource.js";
import { plural, whole, words } from "../../text/format.js";
import { limitFigure, limitNote, limitTitle, partText, sourceText } from "../../text/limits_text.js";
import { reasonOf, titleOf } from "../../text/vocabulary.js";
import { patternsText, policyText } from "./policy_form.js";

/** `limit` 0: no limit; only the figure is shown. `format` writes it; `shownName` is the name with a link, where it has one. */
export function Gauge({ name, shownName = name, used, limit, format = whole }) {
  return html`
    <div class="gauge flow">
      <span class="name">${shownName}</span>
      <span class="amount"><b>${format(used)}</b>${limit ? ` of ${format(limit)}` : ""}</span>
      ${limit > 0 && html`<${Track} label=${name} value=${used} max=${limit} isLimit />`}
    </div>
  `;
}

/** Limits of a user, each with its usage, its source, and when more is available; `none` is said where there are none. */
export function LimitRules({ rules, none }) {
  if (!rules.length) return html`<p class="quiet">${none}</p>`;
  return html`<ul class="gauges stack">${rules.map((rule, number) => html`<${LimitRule} key=${number} rule=${rule} />`)}</ul>`;
}

function LimitRule({ rule }) {
  const format = limitFigure(rule);
  const from = [sourceText(rule.source), partText(rule)].filter(Boolean).join(", ");
  const note = limitNote(rule);
  const out = rule.holds && !rule.remaining && rule.maximum > 0;
  return html`
    <li>
      <${Gauge} name=${limitTitle(rule)} used=${rule.used} limit=${rule.maximum} format=${format} />
      <p class="quiet">
        ${from}${rule.reserved > 0 && `; ${format(rule.reserved)} held back for calls under way`}${rule.shadow && html`; <b>only counts, refuses nothing</b>`}${note && html`. <span class=${out ? "bad" : ""}>${note}</span>`}
      </p>
    </li>
  `;
}

/** How often each rule refused, of statistics by rule; `q` says whose calls, and `range` the range in an address. */
export function RefusedRules({ stats, q = "", range }) {
  const linkOf = (rule) => href("refusals", "", { q: withTerm(q, "rule", rule), ...range });
  return html`<${Reasons} reasons=${stats.groups.map(({ group: { rule }, total }) => ({ title: titleOf(rule), count: total.refusals, meaning: reasonOf(rule), link: linkOf(rule) }))} />`;
}

/** What is kept of each text where no policy says it. */
const KEPT = { prompts: "full", tool_inputs: "full", thoughts: "full", responses: "none", errors: "full" };

const MODEL = [{ name: "model", label: "May this model be used?", placeholder: "gpt-5", required: true, autocapitalize: "off" }];

/** `of` is the username, or `me`; with `limits` the limits are shown too. */
export function Explained({ of, limits = false }) {
  const [model, setModel] = useState("");
  const path = `users/${encodeURIComponent(of)}/policy`;
  const { data, error, reload } = useResource(path);
  const asked = useResource(model && path, { model });
  if (!data) return html`<${Pending} error=${error} retry=${reload} />`;
  return html`
    <p class="quiet">
      ${data.policies.length ? `${plural(data.policies.length, "policy")}: ${data.policies.map(({ level, name }) => (name ? `${level} ${name}` : level)).join(", ")}.` : "No policy applies."}
    </p>
    <${Rules} policy=${data} />
    ${data.managed_settings &&
    html`<details>
      <summary>What Claude Code gets where it signed in here</summary>
      <pre>${policyText(data.managed_settings)}</pre>
    </details>`}
    ${limits && html`<${LimitRules} rules=${data.limits} none="No limit holds but those of the whole server." />`}
    <${LineForm} fields=${MODEL} verb="Ask" act=${async (given) => setModel(given.model.trim())} />
    ${asked.error && html`<${Failure} error=${asked.error} />`}
    <div role="status">
      <ul class="decisions stack">
        ${asked.data?.decisions.map(({ provider, allowed, rule }) => html`<li key=${provider}><b class=${allowed ? "" : "bad"}>${allowed ? "Yes" : "No"}</b> ${asked.data.model} of ${provider}${rule && `: ${rule}`}</li>`)}
      </ul>
    </div>
  `;
}

function Rules({ policy: { models, max_tokens: most, own_key_denied_by: denied, recording } }) {
  const lines = [
    ...models.flatMap(({ source, allow, deny, unpriced }) => [
      allow && [`Models allowed`, patternsText(allow).replaceAll("\n", ", "), source],
      deny && [`Models denied`, patternsText(deny).replaceAll("\n", ", "), source],
      unpriced === "deny" && ["Models without a price", "denied", source],
    ]),
    most && ["Most output of a request", `${whole(most.maximum)} tokens`, most.source],
    denied && ["A key of one's own", "denied", denied],
    ...(recording ? Object.entries(KEPT).map(([kind, usual]) => recording[kind] !== usual && [`Kept of ${words(kind)}`, recording[kind], null]) : []),
    recording?.retention && ["Texts are removed after", plural(recording.retention, "day"), null],
    recording?.responses_retention && ["Responses are removed after", plural(recording.responses_retention, "day"), null],
    recording?.patterns.length > 0 && ["Redacted besides", recording.patterns.join(" "), null],
  ].filter(Boolean);
  if (!lines.length) return html`<p class="quiet">Every model may be used; nothing else is restricted.</p>`;
  return html`<dl class="facts">${lines.map(([label, value, source], number) => html`<div key=${number}><dt>${label}</dt><dd>${value} ${source && html`<span class="quiet">${sourceText(source)}</span>`}</dd></div>`)}</dl>`;
}
