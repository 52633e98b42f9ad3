/** One price of the operator's own, new or changed. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { TextField } from "../../parts/field.js";
import { DialogForm } from "../../parts/form.js";

const EMPTY = { provider: "", model: "", valid_from: "", input: "", output: "", cache_read: "", cache_write: "", cache_write_1h: "" };

/** `price` is undefined for a new one; `save` gets what was typed, and `number` is its place in the list. */
export function PriceDialog({ price, number, save, onClose, onStale }) {
  const [fields, setFields] = useState({ ...EMPTY, valid_from: new Date().toISOString().slice(0, 10), ...price });
  const field = (name) => ({ value: fields[name] ?? "", onText: (text) => setFields((before) => ({ ...before, [name]: text })) });
  const put = async () => {
    try {
      await save(Object.fromEntries(Object.entries(fields).filter(([, text]) => text !== null && text.trim() !== "")));
    } catch (error) {
      for (const one of error.validations ?? []) one.field = one.field.replace(`prices[${number}].`, "");
      throw error;
    }
  };
  const refresh = () => {
    onClose();
    onStale();
  };
  return html`
    <${DialogForm} title=${price ? "Change a price" : "Add a price"} verb="Save" save=${put} onClose=${onClose} onStale=${refresh}>
      <div class="pairs">
        <${TextField} label="Provider" hint="Its name; * stands for any text." required autocapitalize="off" ...${field("provider")} />
        <${TextField} label="Model" hint="As clients name it; * stands for any text." required autocapitalize="off" ...${field("model")} />
        <${TextField} label="Input" hint="US dollars for a million tokens." required inputmode="decimal" ...${field("input")} />
        <${TextField} label="Output" hint="The same." required inputmode="decimal" ...${field("output")} />
        <${TextField} label="Read from cache" hint="If empty, as input." inputmode="decimal" ...${field("cache_read")} />
        <${TextField} label="Written to cache" hint="If empty, as input." inputmode="decimal" ...${field("cache_write")} />
        <${TextField} label="Written for an hour" hint="If empty, as written to cache." inputmode="decimal" ...${field("cache_write_1h")} />
        <${TextField} label="Holds from" hint="A day in UTC, such as 2026-11-01, or a timestamp." required ...${field("valid_from")} />
      </div>
    <//>
  `;
}
