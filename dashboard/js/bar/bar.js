/** The bar above lists and charts: time range, filters as chips. All of it is in the address. */

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";
import { seesEveryone, viewOf, VIEWS } from "../frame/registry.js";
import { go, href } from "../frame/router.js";
import { Segmented } from "../parts/figures.js";
import { get } from "../server/api.js";
import { idOf, valueOf, withTerm } from "./query.js";
import { aboutNow, betweenDays, chosenRange, daysOf, isTimed, OWN_ZONE, PRESETS, rangeParams, rangeText, searchWithin, unknownOf, withoutTimes, withRangeApart } from "./range.js";
import { Search, useNames } from "./search.js";

/** What changes the address of a view. An open call is closed; `id` is what stays open. */
export function chooser({ view, params }, id = "") {
  const { q, range, from, to, tz, ...others } = params;
  return (change) => go(href(view, id, { q, range, from, to, tz, ...others, ...change }));
}

/**
 * `chosen` is the range, see `chosenRange`; with `isEver` all time may be chosen, too. `search` has what `Search` needs, or is
 * undefined where nothing can be filtered. `id` is what stays open when something is chosen. Children are what else there is to choose.
 */
export function Bar({ route, user, chosen, isEver, search, id, children }) {
  const { q = "" } = route.params;
  const unknown = unknownOf(route.params);
  const choose = chooser(route, id);
  const timed = search && isTimed(q);
  const pick = (change) => choose(timed && ("range" in change || "from" in change) ? { ...change, q: withoutTimes(q) } : change);
  const find = (text) => {
    const { q: found, range } = withRangeApart(text);
    choose({ q: found, ...(range ? { range, from: "", to: "" } : {}) });
  };
  return html`
    <div class="view-bar stack">
      <div class="choices flow">
        <${Beside} route=${route} user=${user} />
        <${RangePicker} chosen=${chosen} isEver=${isEver} isTimed=${timed} choose=${pick} />
        ${children}
      </div>
      ${unknown && html`<p class="bad" role="alert">This address asks for ${unknown}, which is no range or time zone. Shown is the range chosen here.</p>`}
      ${search && html`<${Search} ...${search} q=${q} user=${user} onSearch=${(text) => (idOf(text) ? openId(text, () => find(text)) : find(text))} />`}
    </div>
  `;
}

/** The views of one tab, side by side. */
export function Beside({ route: { view, params }, user }) {
  const top = viewOf(view).under ?? view;
  const views = VIEWS.filter((one) => (one.under ?? one.view) === top && one.who.includes(user.role));
  if (views.length < 2) return null;
  const options = views.map(({ view: name, short, title }) => [name, short ?? title]);
  // The time stays chosen where there is one to choose.
  const open = (name) => name !== view && go(href(name, "", viewOf(name).saved ? rangeParams(params) : {}));
  return html`<${Segmented} label="List" options=${options} value=${view} onChoose=${open} />`;
}

/** Opens the call that has this id, or the list of refused calls where one of them has it; does `show` where neither is found. */
async function openId(q, show) {
  const first = (view) => get(view, { q, limit: 1 }).then(({ results }) => results[0], () => undefined);
  const call = await first("interceptions");
  if (call) go(href("interceptions", call.id, { q }));
  else if (await first("refusals")) go(href("refusals", "", { q }));
  else show();
}

const STATUSES = [
  ["completed", "Completed"],
  ["failed", "Failed"],
  ["in_flight", "In flight"],
];

/** The search of an address, as the API takes it: a range stays relative there. */
export function useSearch(params, usual = "") {
  const { q = "", range, from, to, tz } = params;
  return useMemo(() => searchWithin(q, chosenRange(params, usual)), [q, range, from, to, tz]);
}

const NAMES = [
  ["Model", "model"],
  ["Provider", "provider_name"],
  ["Client", "client"],
];

/**
 * `choices` are what else one chooses, each a label, a key and pairs of value and text. With `ofCalls` the search is one for calls, among
 * whose names one chooses too. `usual` is the range without one in the address, all time if it is empty.
 */
export function Filters({ route, user, usual = "", choices = [["Status", "status", STATUSES]], ofCalls = true, example = "words, model:gpt-5.5 status:failed cost:>1" }) {
  const { params } = route;
  const { q = "" } = params;
  const known = useNames(ofCalls);
  const choose = chooser(route);
  const put = (key, value) => choose({ q: withTerm(q, key, value) });
  const names = ofCalls ? NAMES.map(([label, key]) => [label, key, known[key].map((value) => [value, value])]) : [];
  const isMine = valueOf(q, "user") === "me";
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosenRange(params, usual)} isEver=${!usual} search=${{ example, known: ofCalls }}>
      ${[...choices, ...names].map(([label, key, options]) => html`<${Choice} key=${key} label=${label} value=${valueOf(q, key)} options=${options} onChoose=${(value) => put(key, value)} />`)}
      ${seesEveryone(user) && html`<button type="button" aria-pressed=${isMine} onClick=${() => put("user", isMine ? "" : "me")}>Mine</button>`}
      ${Object.values(params).some(Boolean) && html`<button type="button" class="plain" onClick=${() => go(href(route.view))}>Clear</button>`}
    <//>
  `;
}

/** The current value is among the options, even if it is unknown. `none` is what no value is called; empty where one is always chosen. */
export function Choice({ label, none = label, value, options, onChoose }) {
  const missing = value && !options.some(([option]) => option === value);
  return html`
    <select aria-label=${label} class=${value && none === label ? "chosen" : undefined} value=${value} onChange=${(event) => onChoose(event.target.value)}>
      ${none && html`<option value="">${none}</option>`}
      ${missing && html`<option value=${value}>${value}</option>`}
      ${options.map(([option, text]) => html`<option key=${option} value=${option}>${text}</option>`)}
    </select>
  `;
}

const DAYS = "days";
const DRAWN = "drawn";
const IN_SEARCH = "search";
const ZONE = "zone:";

/** `choose` puts changes into the address. With `isTimed` the filters have a time, which comes first. */
function RangePicker({ chosen, isEver, isTimed, choose }) {
  const { preset, custom, tz } = chosen;
  const days = daysOf(preset);
  const value = isTimed ? IN_SEARCH : custom ? DRAWN : days ? DAYS : preset;
  const put = (range) => choose({ range, from: "", to: "" });
  const pick = (name) => {
    if (name === DAYS) put(aboutNow(chosen, Date.now()));
    else if (name.startsWith(ZONE)) choose({ tz: name.slice(ZONE.length) });
    else if (name !== IN_SEARCH && name !== DRAWN) put(name);
  };
  return html`
    <select aria-label="Time range" class=${isEver && value ? "chosen" : undefined} value=${value} onChange=${({ target }) => pick(target.value)}>
      ${isTimed && html`<option value=${IN_SEARCH}>As filtered</option>`}
      ${isEver && html`<option value="">All time</option>`}
      ${Object.entries(PRESETS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
      <option value=${DAYS}>Between days</option>
      ${custom && html`<option value=${DRAWN}>${rangeText(custom, tz)}</option>`}
      <optgroup label="Days of the time zone">
        ${[...new Set([tz, OWN_ZONE, "UTC"])].map((name) => html`<option key=${name} value=${ZONE + name}>${name}${name === tz ? ", as now" : ""}</option>`)}
      </optgroup>
    </select>
    ${!isTimed && days && html`<${Days} days=${days} put=${put} />`}
  `;
}

function Days({ days: [first, last], put }) {
  const change = (days) => days.every(Boolean) && put(betweenDays(...days));
  return html`
    <span class="flow">
      <input type="date" aria-label="First day" value=${first} onChange=${({ target }) => change([target.value, last])} />
      <input type="date" aria-label="Last day" value=${last} onChange=${({ target }) => change([first, target.value])} />
    </span>
  `;
}
