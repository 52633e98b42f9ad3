/** A time range: by a name that stays relative, or between two days of a zone. */

import { html } from "htm/preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { aboutNow, betweenDays, daysOf, PRESETS, rangeText } from "./range.js";

const DAYS = "days";
const DRAWN = "drawn";
const IN_SEARCH = "search";
const ZONES = Intl.supportedValuesOf?.("timeZone") ?? [];

/** `choose` puts changes into the address. With `isTimed` the filters have a time, which comes first. */
export function RangePicker({ chosen, isEver, isTimed, choose }) {
  const { preset, custom, tz } = chosen;
  const days = daysOf(preset);
  const value = isTimed ? IN_SEARCH : custom ? DRAWN : days ? DAYS : preset;
  const put = (range) => choose({ range, from: "", to: "" });
  const pick = (name) => {
    if (name === DAYS) put(aboutNow(chosen, Date.now()));
    else if (name !== IN_SEARCH && name !== DRAWN) put(name);
  };
  return html`
    <select aria-label="Time range" class=${isEver && value ? "chosen" : undefined} value=${value} onChange=${({ target }) => pick(target.value)}>
      ${isTimed && html`<option value=${IN_SEARCH}>As filtered</option>`}
      ${isEver && html`<option value="">All time</option>`}
      ${Object.entries(PRESETS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
      <option value=${DAYS}>Between days</option>
      ${custom && html`<option value=${DRAWN}>${rangeText(custom, tz)}</option>`}
    </select>
    ${!isTimed && days && html`<${Days} days=${days} put=${put} />`}
    <${Zones} tz=${tz} pick=${(name) => choose({ tz: name })} />
  `;
}

/** Its options are hundreds, and made without components: that takes a tenth of what a view takes. */
function Zones({ tz, pick }) {
  const list = useRef(null);
  useLayoutEffect(() => {
    const names = new Set([tz, "UTC", ...ZONES]);
    list.current.replaceChildren(...[...names].map((name) => new Option(name, name, name === tz, name === tz)));
  }, [tz]);
  return html`<select ref=${list} aria-label="Time zone" onChange=${({ target }) => pick(target.value)} />`;
}

function Days({ days: [first, last], put }) {
  const change = (days) => days.every(Boolean) && put(betweenDays(...days));
  return html`
    <span class="days">
      <input type="date" aria-label="First day" value=${first} onChange=${({ target }) => change([target.value, last])} />
      <input type="date" aria-label="Last day" value=${last} onChange=${({ target }) => change([first, target.value])} />
    </span>
  `;
}
