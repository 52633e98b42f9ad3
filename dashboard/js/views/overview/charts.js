/** Calls, tokens, cost and the time to the first byte over time. */

import { html } from "htm/preact";
import { bucketsOf, timesBetween } from "../../bar/ranges.js";
import { Chart } from "../../charts/chart.js";
import { earlier, groupHref, groups, iso, justBefore, leaders, parts, quantiles } from "../../charts/series.js";
import { go } from "../../frame/router.js";
import { duration, short, usd } from "../../text/format.js";

const KINDS = [
  { name: "Input", pick: ({ token_usage: usage }) => usage.input_tokens, colour: "series-1" },
  { name: "Read from cache", pick: ({ token_usage: usage }) => usage.cache_read_input_tokens, colour: "series-2" },
  { name: "Written to cache", pick: ({ token_usage: usage }) => usage.cache_write_input_tokens, colour: "series-3" },
  { name: "Output", pick: ({ token_usage: usage }) => usage.output_tokens, colour: "series-4" },
];
const ENDS = [
  { name: "Completed", pick: ({ interceptions, failed }) => interceptions - failed, colour: "series-1", status: "completed" },
  { name: "Failed", pick: ({ failed }) => failed, colour: "bad-mark", status: "failed" },
];
const COST = [{ name: "All", pick: ({ cost_usd: cost }) => cost ?? 0, colour: "series-1" }];
const QUANTILES = ["p50", "p95", "p99"].map((name, index) => ({
  name,
  pick: ({ first_byte_ms: first }) => first?.[name] ?? null,
  colour: `series-${[1, 3, 7][index]}`,
}));

/** `split` is false where there are to be no groups. */
export function Charts({ all, split, drill, onZoom }) {
  const { at, drawn, step } = bucketsOf(all);
  const between = (from, to) => timesBetween({ at, drawn }, from, to, Date.parse(all.to));
  const onPick = (...ends) => {
    const { from, to } = between(...ends);
    go(drill({ started_after: iso(from / 1000), started_before: justBefore(to / 1000) }));
  };
  const common = { times: drawn, step, onPick, onZoom: (...ends) => onZoom(between(...ends)) };
  const rows = split ? ofGroups(split, drill) : ofAll(all, drill);
  const before = Object.fromEntries(Object.entries(AMOUNTS).map(([name, pick]) => [name, earlier(all, pick)]));
  return html`
    <div class="charts">
      <${Chart} ...${common} title="Calls" kind="bars" rows=${rows.calls} before=${before.calls} format=${short} nothing="No calls." />
      <${Chart} ...${common} title="Tokens" kind="bars" rows=${rows.tokens} before=${before.tokens} format=${short} nothing="No tokens were reported." />
      <${Chart} ...${common} title="Cost" kind="bars" rows=${rows.cost} before=${before.cost} format=${usd} nothing="No call has a known price." />
      <${Chart} ...${common} title=${split ? "Time to first byte, median" : "Time to first byte"} kind="lines" rows=${rows.first} format=${duration} nothing="No byte arrived." />
    </div>
  `;
}

function ofAll(all, drill) {
  const ends = ENDS.map((end) => ({ ...end, href: drill({ status: end.status }) }));
  return {
    calls: parts(all, all, ends),
    tokens: parts(all, all, KINDS),
    cost: parts(all, all, COST),
    first: parts(all, all, QUANTILES, null),
  };
}

const AMOUNTS = { calls: ({ interceptions }) => interceptions, tokens: ({ tokens }) => tokens, cost: ({ cost_usd: cost }) => cost ?? 0 };

/** Every chart shows the same groups, each in a colour of its own. */
function ofGroups(split, drill) {
  const leading = leaders(split, Object.values(AMOUNTS));
  const dressed = (rows) =>
    rows.map((row) => ({ ...row, colour: row.other ? "series-other" : `series-${leading.indexOf(row.name) + 1}`, href: groupHref(row, split.group_by, drill) }));
  return {
    calls: dressed(groups(split, AMOUNTS.calls, leading)),
    tokens: dressed(groups(split, AMOUNTS.tokens, leading)),
    cost: dressed(groups(split, AMOUNTS.cost, leading)),
    first: dressed(quantiles(split, ({ first_byte_ms: first }) => first?.p50 ?? null, leading)),
  };
}
