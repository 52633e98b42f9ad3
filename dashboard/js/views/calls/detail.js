/** Everything that is known of one call. */

import { html } from "htm/preact";
import { searchFor } from "../../bar/query.js";
import { href } from "../../frame/router.js";
import { costOf, Facts, Status, UsageFigures, usageOf } from "../../parts/figures.js";
import { Pane } from "../../parts/list.js";
import { Pending } from "../../parts/states.js";
import { CopyButton, Json } from "../../parts/texts.js";
import { useResource } from "../../server/resource.js";
import { between, duration, serviceTier, short, time, tokensIn, UNKNOWN, usd, whole, words } from "../../text/format.js";
import { breakOf, cacheLine, cureOf, lossOf } from "../../text/prompt_cache.js";
import { why } from "../../text/vocabulary.js";
import { argumentOf, outcomeOf, tryOf } from "../sessions/story.js";
import { connectingText, phasesOf } from "./phases.js";

/** `fresh` is what the list knows of it, perhaps more than was loaded. */
export function Detail({ id, fresh, onClose }) {
  const { data, error, reload } = useResource(`interceptions/${encodeURIComponent(id)}`);
  const shown = fresh?.ended_at && !data?.ended_at ? fresh : (data ?? fresh);
  return html`
    <${Pane} label="Call" title=${shown?.model ?? "Call"} mark=${shown && html`<${Status} interception=${shown} />`} onClose=${onClose}>
      ${shown ? html`<${Body} interception=${shown} />` : html`<${Pending} error=${error} retry=${reload} />`}
    <//>
  `;
}

function Body({ interception }) {
  const { initiator, client, provider_name: provider, started_at: started, error, end_reason: reason, cache } = interception;
  return html`
    <p class="quiet"><a href=${href("interceptions", "", { q: searchFor({ user: initiator.username }) })}>${initiator.username}</a> with ${client ?? "an unknown client"} to ${provider}, ${time(started)}</p>
    ${error &&
    html`<section class="wrong"><h3 class="bad">Error</h3><p><code>${error.type}</code></p>${error.message && html`<p class="text">${error.message}</p>`}</section>`}
    ${why(reason) && html`<p class="quiet why">${why(reason)}</p>`}
    <section><h3>Time</h3><${Timing} interception=${interception} /></section>
    ${interception.tries.length > 0 && html`<section><h3>Tries</h3><${Tries} tries=${interception.tries} /></section>`}
    <section><h3>Tokens and cost</h3><${UsageFigures} usage=${usageOf(interception)} cost=${costOf(interception)} />${cache && cacheLine(cache) && html`<p class="cache-line">${cacheLine(cache)}</p>`}<${Advisors} usages=${interception.token_usages} /></section>
    ${cache?.broke && html`<${CacheBreak} cache=${cache} />`}
    ${tryOf(interception) && html`<p class="quiet">${tryOf(interception)}${interception.retry_of && html`: <a href=${href("interceptions", interception.retry_of)}>the call before</a>`}</p>`}
    <${Said} interception=${interception} />
    <section><h3>Record</h3><${Facts} facts=${factsOf(interception)} /></section>
  `;
}

/** What other models used for the call, which is in its figures. */
function Advisors({ usages }) {
  return usages
    .filter(({ model }) => model)
    .map((usage) => html`<p key=${usage.id} class="quiet">Of these, ${usage.model} used ${short(tokensIn(usage) ?? 0)} in and ${short(usage.output_tokens ?? 0)} out, as an advisor.</p>`);
}

/** Every try at a provider, and its result. */
function Tries({ tries }) {
  return html`
    <ol class="key-list stack">
      ${tries.map(
        ({ provider_name: provider, credential_hint: hint, status, error, ms }, number) => html`
          <li key=${number}>
            ${provider} ${hint && html`<code>${hint.replace("...", "…")}</code>`} <span class="role">${status ?? (error ? words(error.type) : "stopped")}</span>
            ${" "}<span class="quiet">${duration(ms)}${error ? `; ${error.message}` : ""}</span>
          </li>
        `,
      )}
    </ol>
  `;
}

/** Prompt, thoughts, response and tool calls, in the order in which they are said. */
export function Said({ interception }) {
  const { user_prompts: prompts, model_thoughts: thoughts, response, tool_usages: tools } = interception;
  return html`
    ${prompts.map(({ id, prompt, metadata }) => html`<${SaidBy} key=${id} who="user" title="Prompt" text=${prompt} metadata=${metadata}>${metadata.synthetic && html` <small>written by the client</small>`}<//>`)}
    ${thoughts.map(({ id, content, metadata }) => html`<${SaidBy} key=${id} who="model" title=${words(metadata.source ?? "thought")} text=${content} metadata=${metadata} />`)}
    ${response && html`<${SaidBy} who="response" title="Response" text=${response.text} metadata=${response.metadata} as=${Long} />`}
    ${tools.map(({ id, tool, input, metadata, result }) => html`<${SaidBy} key=${id} who="tool" title=${html`Tool call <code>${tool}</code>`} text=${input} metadata=${metadata} as=${Json}>${result && html` <${Outcome} result=${result} />`}<//>`)}
  `;
}

/** A text with its title; children stand behind that. `as` draws it. */
function SaidBy({ who, title, text, metadata: { truncated, recording, withheld, removed }, as = Plain, children }) {
  const missing = [withheld && "Not for your role.", removed && "Removed: its retention is over.", recording && !text && "Not recorded, as a policy says."].find(Boolean);
  return html`
    <section class="said-by ${who}">
      <h3>${title}${truncated && html` <small>cut</small>`}${recording && html` <small>${recording}</small>`}${children}</h3>
      ${missing ? html`<p class="quiet">${missing}</p>` : html`<${recording === "hashed" ? Plain : as} text=${text} />`}
    </section>
  `;
}

/** What a call is about, in a line: its prompt, and the tools that it called; with `brief` these only where it has no prompt. */
export function What({ interception: { user_prompts: prompts, tool_usages: tools, model_thoughts: thoughts, response }, brief = false }) {
  const prompt = prompts.at(-1);
  const asked = prompt?.metadata.withheld ? "not for your role" : prompt?.prompt.slice(0, 200);
  return html`
    ${asked && html`<span class=${prompt.metadata.synthetic || prompt.metadata.withheld ? "quiet" : ""}>${asked}</span>`}
    ${!(brief && asked) && tools.map((one) => html`<${Called} key=${one.id} usage=${one} />`)}
    ${!asked && !tools.length && html`<em class="quiet">${response?.text ? response.text.slice(0, 200) : thoughts.length ? "thought" : "answered"}</em>`}
  `;
}

/** A tool call in a line: what it was called with, and how large its result is. */
function Called({ usage }) {
  const { tool, result } = usage;
  return html`<span class="tool"><code>${tool}</code> ${argumentOf(usage)}${result && html` → <${Outcome} result=${result} />`}</span> `;
}

/** How a tool call ended, as far as the next request said. */
function Outcome({ result }) {
  return html`<small class=${result.is_error ? "bad" : "quiet"}>${outcomeOf(result)}</small>`;
}

function Plain({ text }) {
  return html`<p class="text">${text}</p>`;
}

/** What may be long has a height of its own. */
function Long({ text }) {
  return html`<p class="text long" tabindex="0">${text}</p>`;
}

const FACTS = [
  ["id", "Id", true],
  ["upstream_request_id", "Provider's request id", true],
  ["api_key_id", "Token", true],
  ["client_session_id", "Client's session", true],
  ["upstream_status", "Provider's status"],
  ["end_reason", "End"],
  ["credential_hint", "Key"],
  ["user_agent", "User agent"],
];

/** What of an interception is shown last, in pairs of name and value. */
function factsOf(interception) {
  const { agent, websocket, session_id: session, parent_id: parent, streaming, cost, provider_cost: charged, credential_kind: kind, started_at: started, ended_at: ended } = interception;
  const { provider_name: provider, requested_provider_name: requested, tags } = interception;
  const code = (text) => text && html`<code>${text}</code>`;
  const copied = (text, name) => html`<code>${text}</code> <${CopyButton} text=${String(text)} what=${name} />`;
  const there = FACTS.filter(([key]) => interception[key] != null && interception[key] !== "");
  return [
    ...there.map(([key, name, isCopied]) => [name, isCopied ? copied(interception[key], name) : code(interception[key])]),
    ...Object.entries(tags).map(([name, value]) => [`Tag ${name}`, code(value)]),
    ["Agent", code(agent?.id)],
    ["Started by agent", code(agent?.parent_id)],
    ...Object.entries(agent?.hints ?? {}).map(([name, hint]) => [words(name), code(hint)]),
    ["Session", session && html`<a href=${href("sessions", session)}>${session}</a>`],
    ["WebSocket", websocket && socketOf(websocket)],
    ["Answers a tool call of", parent && html`<a href=${href("interceptions", parent)}>${parent}</a>`],
    ["Provider asked for", requested !== provider && requested],
    ["Paid with", { centralized: "a key of the bridge", byok: "a key of the user's own" }[kind]],
    ["Service tier", serviceTier(interception.token_usages)],
    ["Prices", cost?.prices],
    ["Cost by the provider", charged && html`${usd(charged.usd)} <code>${charged.source}</code>`],
    ["Streaming", streaming ? "yes" : "no"],
    ["Started", started],
    ["Ended", ended ?? UNKNOWN],
  ];
}

function socketOf({ id, lane, warm_up: isWarmUp }) {
  return html`<a href=${href("interceptions", "", { q: searchFor({ request_id: id }) })}>${id}</a>${lane && html`, lane <code>${lane}</code>`}${isWarmUp && ", a warm-up"}`;
}

export function CacheBreak({ cache }) {
  return html`
    <p class="text cache-break">
      <b>${breakOf(cache.broke)}</b> ${whole(cache.lost_tokens)} tokens were paid for again: ${lossOf(cache)}. ${cureOf(cache.broke)}${" "}
      <a href=${href("interceptions", cache.broke.since)}>The call before</a>
    </p>
  `;
}

const COLOURS = { bridge: "var(--series-4)", provider: "var(--series-1)", answer: "var(--series-2)", unknown: "var(--series-other)" };

/** A bar of the parts with a known length, and the numbers of all. */
function Timing({ interception }) {
  const { started_at: started, upstream_asked_at: sent, ended_at: ended, connecting } = interception;
  const phases = phasesOf(interception);
  const known = phases.filter(({ ms }) => ms !== null);
  const sum = Math.max(1, known.reduce((total, { ms }) => total + ms, 0));
  const written = (ms) => (ms === null ? "under way" : duration(ms));
  return html`
    <div class="timing stack">
      <div class="bar" aria-hidden="true">
        ${known.map(({ kind, ms }) => html`<span key=${kind} style=${{ background: COLOURS[kind], width: `${(100 * ms) / sum}%` }}></span>`)}
      </div>
      <dl class="figures">
        ${phases.map(({ kind, text, ms }) => html`<div key=${kind}><dt><i class="swatch" style=${{ background: COLOURS[kind] }}></i>${text}</dt><dd>${written(ms)}</dd></div>`)}
        <div><dt>In all</dt><dd>${written(between(started, ended))}</dd></div>
      </dl>
      ${connecting && html`<p class="quiet">${connectingText(connecting)}</p>`}
      ${ended && !sent && html`<p class="quiet">No time for the provider request: it was never sent, or the server crashed.</p>`}
    </div>
  `;
}
