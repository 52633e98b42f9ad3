/** What calls of a range add up to, beside each row of a list. The list is drawn without waiting for it. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { Bar, Choice, chooser } from "../../bar/bar.js";
import { searchFor } from "../../bar/query.js";
import { asked, chosenRange, rangeParams, rangeText, timesOf } from "../../bar/range.js";
import { href } from "../../frame/router.js";
import { Toolbar } from "../../parts/list.js";
import { Failure } from "../../parts/states.js";
import { useKept, useResource } from "../../server/resource.js";
import { ago, plural, short, usd, whole } from "../../text/format.js";
import { NOTHING, orderOf, SORTS, totalsOf } from "./row_figures.js";

const USUAL = "this-month";
// Of more than so many the ones that have the least are shown without figures.
const MAX_GROUPS = 1000;

/**
 * The totals of the range of an address by `by`, which is `user`, `group` or `token`, by their ids: `{totals, text, error,
 * reload}`. `totals` is null until they are known, `text` says of which time they are; `q` narrows the calls.
 */
export function useFigures(params, by, q = "") {
  const chosen = chosenRange(params, USUAL);
  const wanted = { ...asked(chosen), group_by: by, bucket: "all", q, order_by: orderOf(params.sort), limit: MAX_GROUPS };
  const { data, error, reload } = useResource("stats", wanted);
  const text = data ? `${rangeText(timesOf(data), chosen.tz)}, ${chosen.tz}` : "";
  return { totals: data && totalsOf(data.groups, by), text, error, reload };
}

/** What of a list has some words in its names: `{has, field, isOn}`, the field for the words and whether there are any. */
export function useWords(what) {
  const [words, setWords] = useState("");
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (...names) => wanted.every((word) => names.some((name) => name.toLowerCase().includes(word)));
  const field = html`<input type="search" aria-label=${what} placeholder=${what} value=${words} onInput=${({ target }) => setWords(target.value)} />`;
  return { has, field, isOn: wanted.length > 0 };
}

/**
 * The range and the sort of a list, how many there are, and the field that finds some. `id` is what is open; `sorts` leaves some out;
 * children add one more.
 */
export function FiguresBar({ route, user, id, figures, sorts = Object.keys(SORTS), field, count, children }) {
  const choose = chooser(route, id);
  const options = sorts.map((name) => [name, SORTS[name][0]]);
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosenRange(route.params, USUAL)} id=${id}>
      <${Choice} label="Sort by name" value=${route.params.sort ?? ""} options=${options} onChoose=${(sort) => choose({ sort })} />
      ${field}
    <//>
    ${figures.error && html`<${Failure} error=${figures.error} retry=${figures.reload} />`}
    <${Toolbar} says=${[count, figures.text].filter(Boolean).join("; ")}>${children}<//>
  `;
}

/** What says the range of the figures in an address of another view. */
export function figuresRange(params) {
  return rangeParams(params, USUAL);
}

/** What of an address stays when another row is opened. */
export function keptParams({ sort, tz, ...params }) {
  return { ...rangeParams({ ...params, tz }), tz, sort };
}

/** Rows are sorted once all of them are there. */
export function useAllPages(pages, wanted) {
  useEffect(() => {
    if (wanted) pages.more();
  });
}

/** The columns of figures in a table of users or groups, and what they are called. */
export const FIGURE_COLUMNS = "90px 150px 80px 100px 80px";
export const FIGURE_HEADS = ["Cost", "Budget", "Calls", "Tokens used", "Failed"].map((name) => html`<span class="number figure">${name}</span>`);

/** Every budget of a kind, `user` or `group`, by whose it is: the one of which most is spent. */
export function useBudgets(of) {
  const budgets = useKept("budgets", { limit: MAX_GROUPS })?.results ?? [];
  return Object.fromEntries(budgets.filter((one) => one.of === of).reverse().map((one) => [one.name, one]));
}

/** What the calls of one row add up to, as cells; dots until it is known. */
export function FigureCells({ totals, id, budget }) {
  const { interceptions, failed, tokens, cost_usd: cost } = totals?.[id] ?? NOTHING;
  const figure = (text, more = "") => html`<span class=${`number figure ${more}`}>${totals ? text : "…"}</span>`;
  const isUsedUp = budget && budget.used_usd >= budget.limit_usd;
  return html`
    <span class="number">${totals ? (interceptions && cost === null ? "no price" : usd(cost ?? 0)) : "…"}</span>
    <span class=${`number figure ${isUsedUp ? "bad" : ""}`}>${budget && `${usd(budget.used_usd)} of ${usd(budget.limit_usd)}`}</span>
    ${figure(whole(interceptions))}
    ${figure(short(tokens))}
    ${figure(whole(failed), failed ? "bad" : "")}
  `;
}

/** The figures of one row in a line. `terms` find its calls, `used` is when it was used last: null where it never was. */
export function Figures({ figures: { totals }, id, terms, used, params }) {
  const { interceptions, failed, tokens, cost_usd: cost } = totals?.[id] ?? NOTHING;
  const calls = href("interceptions", "", { q: searchFor(terms), ...figuresRange(params) });
  const more = [cost === null ? "no price" : usd(cost), `${short(tokens)} tokens`, failed > 0 && `${whole(failed)} failed`].filter(Boolean);
  return html`
    <p class="row-figures quiet">
      ${!totals && "…"}
      ${totals && (interceptions ? html`<a href=${calls}>${plural(interceptions, "call")}</a>, ${more.join(", ")}` : "no calls")}
      ${used ? html`; used <span title=${used}>${ago(used)}</span>` : totals && !interceptions && ", never used"}
    </p>
  `;
}
