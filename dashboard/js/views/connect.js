/** How to point a client at this server. */

import { html } from "htm/preact";
import { useResource } from "../resource.js";
import { CopyButton } from "../parts/copy.js";
import { Segmented } from "../parts/segmented.js";
import { go, href } from "../router.js";
import { CLIENTS, snippets } from "../snippets.js";

export function Connect({ route }) {
  const { data: providers } = useResource("providers");
  const client = CLIENTS.find(({ id }) => id === route.params.client) ?? CLIENTS[0];
  const provider = route.params.provider || client.provider;
  const names = [...new Set([client.provider, ...(providers ?? []), provider])];
  const address = new URL(`api/v2/aibridge/${encodeURIComponent(provider)}`, document.baseURI).href;
  const choose = (params) => go(href("connect", "", { ...route.params, ...params }), { replace: true });
  return html`
    <div class="prose">
      <h2>Connect a client</h2>
      <p>
        Wherever a client wants a key, give it <a href=${href("tokens")}>a token</a> of AI Bridge; put it in the place of${" "}
        <code>TOKEN</code>. The bridge sends the provider's key instead.
      </p>
      <${Segmented} label="Client" options=${CLIENTS.map(({ id, name }) => [id, name])} value=${client.id} onChoose=${(id) => choose({ client: id, provider: "" })} />
      <label>
        <span aria-hidden="true">Provider</span>${" "}
        <select aria-label="Provider" value=${provider} onChange=${(event) => choose({ provider: event.target.value })}>
          ${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select>
      </label>
      ${snippets(client.id, address).map(
        ({ title, text }) => html`
          <section class="snippet" key=${title}>
            <header><h3>${title}</h3><${CopyButton} text=${text} what=${title} /></header>
            <pre tabindex="0">${text}</pre>
          </section>
        `,
      )}
      ${client.note && html`<p class="quiet">${client.note}</p>`}
    </div>
  `;
}
