/** How to point a client at this server. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Choice } from "../../bar/bar.js";
import { ROOT } from "../../frame/demo.js";
import { go, href } from "../../frame/router.js";
import { Segmented, usageOf } from "../../parts/figures.js";
import { Field, submitting } from "../../parts/forms.js";
import { Failure, Pending } from "../../parts/states.js";
import { CopyButton, Created } from "../../parts/texts.js";
import { pieces, send } from "../../server/api.js";
import { useChange, useResource } from "../../server/resource.js";
import { between, duration, plural, tokensIn } from "../../text/format.js";
import { reasonOf, titleOf } from "../../text/vocabulary.js";
import { errorOf, reader, request, speaks } from "./conversation.js";
import { chosenProvider, clientsFor, modelOf, providersFor, snippets } from "./snippets.js";

const MARKS = { key: "has a key", keyless: "needs no key", no_key: "no key" };
const EVERY_MS = 2000;
const LIFETIME = "90d";

export default function Connect({ route, user }) {
  const { data: configured, error, reload } = useResource("providers/configured");
  if (!configured) return html`<${Pending} error=${error} retry=${reload} />`;
  return html`<${Instructions} params=${route.params} configured=${configured} user=${user} />`;
}

function Instructions({ params, configured, user }) {
  const [token, setToken] = useState(null);
  const clients = clientsFor(configured);
  const client = clients.find(({ id }) => id === params.client) ?? clients[0];
  const providers = providersFor(client, configured);
  const provider = chosenProvider(client, providers, params.provider);
  const address = new URL(`api/v2/aibridge/${encodeURIComponent(provider.name)}`, document.baseURI).href;
  const choose = (change) => go(href("connect", "", { ...params, ...change }), { replace: true });
  return html`
    <div class="prose stack">
      <p>
        Wherever a client wants a key, give it <a href=${href("tokens")}>a token</a> of AI Bridge. Put it in the place of${" "}
        <code>TOKEN</code>. The bridge replaces it with the provider's key. More clients, and all that each can do, are in the${" "}
        <a href=${`${ROOT}help/clients`}>documents</a>.
      </p>
      ${token ? html`<${Filled} token=${token} />` : html`<${CreateToken} client=${client} rules=${user.tokens} onCreated=${setToken} />`}
      <${Segmented} label="Client" options=${clients.map(({ id, name }) => [id, name])} value=${client.id} onChoose=${(id) => choose({ client: id, provider: "" })} />
      <label>
        <span aria-hidden="true">Provider</span>${" "}
        <${Choice} label="Provider" none="" value=${provider.name} options=${providers.map(({ name, key_state: state }) => [name, `${name} (${MARKS[state]})`])} onChoose=${(name) => choose({ provider: name })} />
      </label>
      <${KeyState} provider=${provider} />
      ${snippets(client.id, address, modelOf(provider), token?.token).map(
        ({ title, text }) => html`
          <section class="snippet stack" key=${title}>
            <h3>${title} <${CopyButton} text=${text} what=${title} /></h3>
            <pre tabindex="0">${text}</pre>
          </section>
        `,
      )}
      ${token &&
      html`
        <h3>Try it here</h3>
        <${TryIt} key=${provider.name + client.type} vendor=${client.type} address=${address} model=${modelOf(provider)} token=${token} />
        <${FirstCall} token=${token} />
      `}
    </div>
  `;
}

/** Whether calls to a provider will work, and what to do where they will not. */
function KeyState({ provider: { name, type, key_state: state } }) {
  if (type === "demo") return html`<p class="quiet">The built-in demo responds to any model name. It has no model, and nothing leaves the server.</p>`;
  if (state === "key") return html`<p class="quiet">The bridge has a key for ${name}.</p>`;
  if (state === "keyless") return html`<p class="quiet">The bridge calls ${name} without a key.</p>`;
  return html`
    <p class="failure">
      The bridge has no key for ${name}: only clients that send their own key are served. An operator sets${" "}
      <code>${KEY_VARIABLES[name] ?? "the KEYS variable of this provider"}</code> and starts the server again.
    </p>
  `;
}

const KEY_VARIABLES = { openai: "OPENAI_API_KEY", anthropic: "ANTHROPIC_API_KEY" };

/** Creates one; `onCreated` is given it with its secret, which nothing else has. */
function CreateToken({ client, rules, onCreated }) {
  const { busy, error, run } = useChange();
  if (!rules.may_create) return html`<p class="quiet">Only owners may create tokens here. Ask one of them for yours.</p>`;
  const shorter = rules.expire_by === null || Date.parse(rules.expire_by) > Date.now() + 90 * 86_400_000;
  const create = async () => onCreated(await send("POST", "users/me/tokens", { name: client.name, ...(shorter && { expires: LIFETIME }) }));
  return html`
    <p><button type="button" class="primary" disabled=${busy} onClick=${() => run(create)}>Create a token and fill it in</button></p>
    ${error && html`<${Failure} error=${error} />`}
  `;
}

/** The token in full, as long as this page is open. */
function Filled({ token }) {
  return html`
    <${Created} label="New token" secret=${token.token} what="token">
      The token ${`“${token.name}”`} is filled in below. It will not be shown again when you leave this page; it is among${" "}
      <a href=${href("tokens")}>your tokens</a>.
    <//>
  `;
}

/** The first call with a token, as soon as it is there; until then the last one that was refused. */
function FirstCall({ token }) {
  const { data, error } = useResource("interceptions", { q: `token:${token.id}`, limit: 1 }, { every: (data) => (data?.count ? 0 : EVERY_MS) });
  const call = data?.results[0];
  const { data: refused } = useResource(call ? null : "refusals", { q: `api_key_id:${token.id} shadow:false`, limit: 1 }, { every: EVERY_MS });
  if (error) return html`<${Failure} error=${error} />`;
  if (!call) {
    const refusal = refused?.results[0];
    return html`
      <p class="note quiet" role="status">Waiting for the first call with this token …</p>
      ${refusal && html`<p class="failure" role="alert">The bridge refused one: <b>${titleOf(refusal.rule)}.</b> ${reasonOf(refusal.rule)}${refusal.route && html` It was sent to <code>${refusal.route}</code>.`}</p>`}
    `;
  }
  const usage = usageOf(call);
  const tokens = (tokensIn(usage) ?? 0) + (usage.output_tokens ?? 0);
  const took = duration(between(call.started_at, call.ended_at));
  return html`<p class="note quiet" role="status">Here it is: <a href=${href("interceptions", call.id)}>${call.model}, ${took}, ${plural(tokens, "token")}</a>.</p>`;
}

/** A prompt, sent with the token as a client would send it, and the words of the response as they arrive. */
function TryIt({ vendor, address, model, token }) {
  const [name, setName] = useState(model === "MODEL" ? "" : model);
  const [prompt, setPrompt] = useState("Hello! What are you?");
  const [text, setText] = useState("");
  const { busy, error, run } = useChange();
  if (!speaks(vendor)) return null;
  const sendPrompt = async () => {
    setText("");
    const { path, body } = request(vendor, name, prompt);
    const headers = { Authorization: `Bearer ${token.token}`, "Content-Type": "application/json" };
    const response = await fetch(address + path, { method: "POST", headers, body });
    if (!response.ok) throw new Error(errorOf(await response.text()) || `The response has the status ${response.status}.`);
    const read = reader(vendor);
    for await (const piece of pieces(response)) setText((before) => before + read(piece));
  };
  return html`
    <form class="form try-it stack" aria-label="Try it" onSubmit=${submitting(() => run(sendPrompt))}>
      <${Field} label="Model" value=${name} onText=${setName} required />
      <${Field} label="Prompt" value=${prompt} onText=${setPrompt} required />
      <button type="submit" disabled=${busy}>Send</button>
    </form>
    ${error && html`<${Failure} error=${error} />`}
    ${text && html`<p class="text said-by-model" role="log">${text}</p>`}
  `;
}
