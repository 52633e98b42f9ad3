/** What to group by, and the time range: all of it is in the address. */

import { html } from "htm/preact";
import { Bar, chooser } from "../../bar/bar.js";
import { dimensionName, SUBJECTS, tagDimension } from "../../charts/groups.js";
import { seesEveryone } from "../../frame/registry.js";
import { useResource } from "../../server/resource.js";
import { dimensionsOf } from "../../text/vocabulary.js";

const FOR_ALL = ["user", "group"];
const MAX_TAGS = 100;
const EXAMPLE = "words, model:gpt-5 tag:project=apollo -status:failed";

const EXAMPLES = { refusals: "rule:rate provider:openai status:429" };

/** `csv` is the address of the table as CSV. */
export function ExploreBar({ route, query, user, csv }) {
  const { of, by, chosen, compare } = query;
  const choose = chooser(route);
  const tags = useResource("tags", { limit: MAX_TAGS }).data ?? [];
  const names = [...dimensionsOf(of).filter((name) => seesEveryone(user) || !FOR_ALL.includes(name)), ...(of === "calls" ? tags.map(tagDimension) : [])];
  // Searches for refusals have keys of their own.
  const show = (next) => choose({ of: next === "calls" ? "" : next, by: "", order: "", ...([of, next].includes("refusals") && { q: "" }) });
  const put = (index, name) => {
    const next = [by[0] ?? "", by[1] ?? ""];
    next[index] = name;
    choose({ by: next.filter((one, at) => one && next.indexOf(one) === at).join(",") || "nothing" });
  };
  return html`
    <${Bar} route=${route} user=${user} chosen=${chosen} search=${{ example: EXAMPLES[of] ?? EXAMPLE, known: of !== "refusals" }}>
      <select aria-label="What" value=${of} onChange=${(event) => show(event.target.value)}>
        ${Object.entries(SUBJECTS).map(([name, subject]) => html`<option key=${name} value=${name}>${subject.name}</option>`)}
      </select>
      <${Dimension} label="Group by" names=${names} value=${by[0] ?? ""} onPick=${(name) => put(0, name)} />
      <${Dimension} label="and by" names=${names} value=${by[1] ?? ""} onPick=${(name) => put(1, name)} />
      <button type="button" aria-pressed=${compare} onClick=${() => choose({ compare: compare ? "no" : "" })}>Compare</button>
      <a class="button" href=${csv} download="explore.csv">CSV</a>
    <//>
  `;
}

function Dimension({ label, names, value, onPick }) {
  const known = !value || names.includes(value) ? names : [value, ...names];
  return html`<select aria-label=${label} value=${value} onChange=${(event) => onPick(event.target.value)}>
    <option value="">${label === "and by" ? "and nothing" : "Nothing"}</option>
    ${known.map((name) => html`<option key=${name} value=${name}>${dimensionName(name)}</option>`)}
  </select>`;
}
