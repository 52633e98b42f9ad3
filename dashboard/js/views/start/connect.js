/** How to point a client at this server. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { go, href } from "../../frame/router.js";
import { Segmented } from "../../parts/figures.js";
import { Pending } from "../../parts/states.js";
import { CopyButton } from "../../parts/texts.js";
import { useResource } from "../../server/resource.js";
import { CreateToken, Filled, FirstCall, TryIt } from "./first_call.js";
import { chosenProvider, clientsFor, modelOf, providersFor, snippets } from "./snippets.js";

const MARKS = { key: "has a key", keyless: "needs no key", no_key: "no key" };

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
    <div class="prose">
      <h2>Connect a client</h2>
      <p>
        Wherever a client wants a key, give it <a href=${href("tokens")}>a token</a> of AI Bridge. Put it in the place of${" "}
        <code>TOKEN</code>. The bridge replaces it with the provider's key.
      </p>
      ${token ? html`<${Filled} token=${token} />` : html`<${CreateToken} client=${client} rules=${user.tokens} onCreated=${setToken} />`}
      <${Segmented} label="Client" options=${clients.map(({ id, name }) => [id, name])} value=${client.id} onChoose=${(id) => choose({ client: id, provider: "" })} />
      <label>
        <span aria-hidden="true">Provider</span>${" "}
        <select aria-label="Provider" value=${provider.name} onChange=${(event) => choose({ provider: event.target.value })}>
          ${providers.map(({ name, key_state: state }) => html`<option key=${name} value=${name}>${`${name} (${MARKS[state]})`}</option>`)}
        </select>
      </label>
      <${KeyState} provider=${provider} />
      ${snippets(client.id, address, modelOf(provider), token?.token).map(
        ({ title, text }) => html`
          <section class="snippet" key=${title}>
            <header><h3>${title}</h3><${CopyButton} text=${text} what=${title} /></header>
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
