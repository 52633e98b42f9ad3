/** One price of the operator's own, new or changed. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { Dialog } from "../../parts/dialog.js";
import { TextField } from "../../parts/field.js";
import { Failure } from "../../parts/states.js";
import { useChange } from "../../server/resource.js";

const EMPTY = { provider: "", model: "", valid_from: "", input: "", output: "", cache_read: "", cache_write: "" };

/** `price` is undefined for a new one; `save` gets what was typed, and `number` is its place in the list. */
export function PriceDialog({ price, number, save, onClose, onStale }) {
  const [fields, setFields] = useState({ ...EMPTY, valid_from: new Date().toISOString().slice(0, 10), ...price });
  const { busy, error, run } = useChange();
  const field = (name) => ({ value: fields[name] ?? "", onText: (text) => setFields((before) => ({ ...before, [name]: text })) });
  const submit = (event) => {
    event.preventDefault();
    run(() => save(Object.fromEntries(Object.entries(fields).filter(([, text]) => text !== null && text.trim() !== ""))));
  };
  const own = error && { ...error, message: error.message, detail: error.detail, validations: error.validations.map((one) => ({ ...one, field: one.field.replace(`prices[${number}].`, "") })) };
  return html`
    <${Dialog} title=${price ? "Change a price" : "Add a price"} onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <div class="pairs">
          <${TextField} label="Provider" hint="Its name; * stands for any text." required autocapitalize="off" ...${field("provider")} />
          <${TextField} label="Model" hint="As clients name it; * stands for any text." required autocapitalize="off" ...${field("model")} />
          <${TextField} label="Input" hint="US dollars for a million tokens." required inputmode="decimal" ...${field("input")} />
          <${TextField} label="Output" hint="The same." required inputmode="decimal" ...${field("output")} />
          <${TextField} label="Read from cache" hint="If empty, as input." inputmode="decimal" ...${field("cache_read")} />
          <${TextField} label="Written to cache" hint="If empty, as input." inputmode="decimal" ...${field("cache_write")} />
          <${TextField} label="Holds from" hint="A day in UTC, such as 2026-11-01, or a timestamp." required ...${field("valid_from")} />
        </div>
        ${own && html`<${Failure} error=${own} retry=${error.status === 412 ? () => (onClose(), onStale()) : undefined} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="primary" disabled=${busy}>Save</button>
        </div>
      </form>
    <//>
  `;
}
