/** One operation of the API: its parameters, its responses, and a form to try it. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { CopyButton, Json } from "../parts/texts.js";
import { duration } from "../text/format.js";
import { addressOf, exampleOf, fields, resolved, spans, typeOf } from "./description.js";

export function Operation({ description, operation, open, onToggle }) {
  const { id, method, path, summary } = operation;
  return html`
    <details class="operation" id=${id} open=${open} onToggle=${(event) => onToggle(event.target.open)}>
      <summary><b class="method ${method}">${method.toUpperCase()}</b> <code>${path}</code> <span class="quiet">${summary}</span></summary>
      ${open && html`<${Body} description=${description} operation=${operation} />`}
    </details>
  `;
}

function Body({ description, operation }) {
  const parameters = operation.parameters.map((one) => resolved(description, one));
  const [values, setValues] = useState({});
  const request = operation.requestBody && resolved(description, operation.requestBody);
  return html`
    <div class="operation-body">
      ${operation.description && html`<p><${Text} text=${operation.description} /></p>`}
      ${parameters.length > 0 && html`<h3>Parameters</h3>`}
      ${parameters.map(
        ({ name, in: where, required, description: text, schema = {} }) => html`
          <label class="parameter" key=${where + name}>
            <span><code>${name}</code> <span class="quiet">${where}${required ? ", required" : ""}, ${typeOf(description, schema)}</span></span>
            ${(where === "path" || where === "query") &&
            html`<input value=${values[name] ?? ""} placeholder=${schema.default ?? ""} onInput=${(event) => setValues({ ...values, [name]: event.target.value })} />`}
            <span class="quiet"><${Text} text=${text} /></span>
          </label>
        `,
      )}
      ${operation.method === "get" && !operation.path.includes("{provider}") && html`<${Try} key=${operation.id} operation=${{ ...operation, parameters }} values=${values} />`}
      ${request && html`<h3>Request body</h3><${Contents} description=${description} content=${request.content} />`}
      <h3>Responses</h3>
      ${Object.entries(operation.responses).map(([status, response]) => {
        const { description: text, content } = resolved(description, response);
        return html`
          <details key=${status}>
            <summary><b>${status}</b> <${Text} text=${text} /></summary>
            <${Contents} description=${description} content=${content} />
          </details>
        `;
      })}
    </div>
  `;
}

function Contents({ description, content = {} }) {
  return Object.entries(content).map(([type, media]) => {
    const example = exampleOf(description, media);
    return html`
      <div class="content" key=${type}>
        <p class="quiet"><code>${type}</code> ${media.schema && typeOf(description, media.schema)}</p>
        ${media.schema && html`<${Fields} description=${description} schema=${media.schema} />`}
        ${example && html`<h3>Example</h3><${Json} text=${example} />`}
      </div>
    `;
  });
}

function Fields({ description, schema }) {
  return html`
    <ul class="fields">
      ${fields(description, schema).map(
        (field) => html`<li key=${field.name}>${field.nested ? html`<${Nested} description=${description} field=${field} />` : html`<${Field} field=${field} />`}</li>`,
      )}
    </ul>
  `;
}

function Field({ field: { name, type, required, text } }) {
  return html`<code>${name}</code> <span class="quiet">${type}${required ? "" : ", may be absent"}</span> <${Text} text=${text} />`;
}

/** Its fields are made when it is opened: schemas may contain one another. */
function Nested({ description, field }) {
  const [open, setOpen] = useState(false);
  return html`
    <details onToggle=${(event) => event.target === event.currentTarget && setOpen(event.target.open)}>
      <summary><${Field} field=${field} /></summary>
      ${open && html`<${Fields} description=${description} schema=${field.schema} />`}
    </details>
  `;
}

/** A text with the parts in backticks as code. */
export function Text({ text = "" }) {
  return spans(text).map((one) => (one.code ? html`<code>${one.text}</code>` : one.text));
}

/** Sends the request with the session of this browser. */
function Try({ operation, values }) {
  const [result, setResult] = useState(null);
  const url = new URL(addressOf(operation, values).replace(/^\//, ""), document.baseURI).href;
  const send = async () => {
    const began = performance.now();
    try {
      const response = await fetch(url);
      const text = await response.text();
      setResult({ status: response.status, took: performance.now() - began, text });
    } catch (error) {
      setResult({ status: 0, took: performance.now() - began, text: String(error) });
    }
  };
  const missing = /\{/.test(addressOf(operation, values));
  const curl = `curl -H "Authorization: Bearer $AIBRIDGE_TOKEN" '${url}'`;
  return html`
    <p class="try"><button type="button" disabled=${missing} onClick=${send}>Send</button> <${CopyButton} text=${curl} what="curl" /> ${result && html`<span role="status">${result.status} after ${duration(result.took)}</span>`}</p>
    ${result && html`<${Json} text=${result.text} />`}
  `;
}
