/** One call in a line. */

import { html } from "htm/preact";
import { Component, h } from "preact";
import { href } from "../../frame/router.js";
import { costOf, Status, usageOf, UsageShort } from "../../parts/figures.js";
import { between, duration, time, UNKNOWN, usd } from "../../text/format.js";
import { problemOf } from "../../text/vocabulary.js";

const WHERE = { user_prompts: "prompt", tool_usages: "tool", model_thoughts: "thought", response: "response", error: "error" };

/** A component that is not drawn again while its properties, compared one by one, stay the same. */
function memo(inner) {
  return class Memo extends Component {
    shouldComponentUpdate(next) {
      return Object.keys({ ...next, ...this.props }).some((key) => next[key] !== this.props[key]);
    }

    render(properties) {
      return h(inner, properties);
    }
  };
}

/** What the columns are; a row says the same to whom cannot see it. */
export function RowHead() {
  return html`
    <div class="row call head" aria-hidden="true">
      <span class="at">Time</span><span class="user">User</span><span class="model">Model</span>
      <span class="prompt">Prompt</span><span class="client">Client</span><span class="usage number">Tokens</span>
      <span class="cost number">Cost</span><span class="took number">Took</span><span class="state">State</span>
    </div>
  `;
}

export const Row = memo(function Row({ interception, search, chosen }) {
  const { id, initiator, model, client, started_at: started, ended_at: ended } = interception;
  const problem = problemOf(interception);
  const places = interception.matches ?? [];
  return html`
    <li>
      <a class="row call" href=${href("interceptions", id) + (search && `?${search}`)} data-id=${id} aria-current=${chosen ? "true" : undefined}>
        <span class="at quiet">${time(started)}</span>
        <span class="user">${initiator.username}</span>
        <span class="model">${model}</span>
        <span class="prompt">${promptOf(interception)}</span>
        <span class="client quiet">${client}</span>
        <${UsageShort} usage=${usageOf(interception)} />
        <span class="cost number">${usd(costOf(interception))}</span>
        <span class="took number">${ended ? duration(between(started, ended)) : UNKNOWN}</span>
        <span class="state"><${Status} interception=${interception} /></span>
        ${places.length > 0 && html`<${Place} place=${places[0]} more=${places.length - 1} />`}
        ${problem && html`<span class="problem bad" title=${problem}>${problem}</span>`}
      </a>
    </li>
  `;
});

/** Where a call says what was searched for. */
function Place({ place: { field, before, text, after }, more }) {
  return html`
    <span class="place">
      <span class="quiet">${WHERE[field.split(/[[.]/, 1)[0]] ?? field}:</span> ${before}<mark>${text}</mark>${after}${more > 0 &&
      html` <span class="quiet">and ${more} more</span>`}
    </span>
  `;
}

/** What a line says of the prompt; a step of an agent has none, but calls tools. */
function promptOf({ user_prompts: prompts, tool_usages: tools }) {
  const last = prompts.at(-1);
  if (last?.metadata.withheld) return html`<em class="quiet">not for your role</em>`;
  if (last?.metadata.synthetic) return html`<em class="quiet">${last.prompt.slice(0, 200)}</em>`;
  if (last) return last.prompt.slice(0, 200);
  if (tools.length) return html`<em class="quiet">${tools.map(({ tool }) => tool).join(", ")}</em>`;
  return html`<em class="quiet">no prompt</em>`;
}
