/** One session: its threads, and the steps of each, in the order in which they happened. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { get } from "../api.js";
import { between, duration, plural, time, usd, whole } from "../format.js";
import { breakOf, cacheLine, cureOf, lossOf } from "../prompt_cache.js";
import { CopyButton } from "../parts/copy.js";
import { Empty, Failure, Loading } from "../parts/states.js";
import { Status } from "../parts/status.js";
import { costOf, UsageFigures, usageOf, UsageShort } from "../parts/usage.js";
import { href } from "../router.js";
import { Said } from "./detail.js";

const PAGE = 10;

export function Session({ id }) {
  const [state, setState] = useState({ session: null, threads: [], more: false, error: null, loading: true });
  const load = async (after, threads) => {
    setState((before) => ({ ...before, loading: true, error: null }));
    try {
      const { thread_page: page, ...session } = await get(`sessions/${encodeURIComponent(id)}`, { limit: PAGE, after_thread_id: after });
      setState({ session, threads: [...threads, ...page.results], more: page.more, error: null, loading: false });
    } catch (error) {
      setState((before) => ({ ...before, error, loading: false }));
    }
  };
  const again = () => load(state.threads.at(-1)?.id, state.threads);
  useEffect(() => {
    load(undefined, []);
  }, []);
  const { session, threads, error } = state;
  return html`
    <p class="back"><a href=${href("sessions")}>← Sessions</a></p>
    ${session && html`<${Head} session=${session} />`}
    ${threads.map((thread) => html`<${Thread} key=${thread.id} thread=${thread} />`)}
    <div class="end">
      ${error && (error.status === 404 ? html`<${Missing} />` : html`<${Failure} error=${error} retry=${again} />`)}
      ${state.loading && html`<${Loading} />`}
      ${state.more && !state.loading && html`<button type="button" onClick=${again}>More threads</button>`}
    </div>
  `;
}

function Missing() {
  return html`<${Empty} title="There is no such session"><p>It belongs to another user, its retention is over, or its calls have not ended yet.</p><//>`;
}

function Head({ session }) {
  const { id, initiator, client, models, started_at: started, last_active_at: last } = session;
  return html`
    <section class="session-head">
      <h2>${initiator.username} · ${client ?? "unknown client"}</h2>
      <p class="quiet">
        ${time(started)}, ${duration(between(started, last))} · ${plural(session.threads, "thread")} ·${" "}
        ${plural(session.interceptions, "call")}, ${whole(session.failures)} failed · ${models.join(", ")}
      </p>
      <p class="quiet"><code>${id}</code> <${CopyButton} text=${id} what="session id" /></p>
      <${UsageFigures} usage=${session.token_usage} cost=${session.cost_usd} />
      ${cacheLine(session.cache) && html`<p class="cache-line">${cacheLine(session.cache)}</p>`}
    </section>
  `;
}

function Thread({ thread: { started_at: started, last_active_at: last, interceptions, more_interceptions: more } }) {
  return html`
    <section class="thread">
      <h3>${time(started)} <span class="quiet">${duration(between(started, last))}, ${plural(interceptions.length, "step")}${more ? " and more" : ""}</span></h3>
      <ol class="steps">
        ${interceptions.map((interception) => html`<${Step} key=${interception.id} interception=${interception} />`)}
      </ol>
    </section>
  `;
}

function Step({ interception }) {
  const { id, model, started_at: started, ended_at: ended, error } = interception;
  return html`
    <li class=${`step ${interception.status}`}>
      <p class="line">
        <${Status} interception=${interception} />
        <a href=${href("interceptions", id)}>${time(started)}</a>
        <span>${model}</span>
        <${UsageShort} usage=${usageOf(interception)} />
        <span>${usd(costOf(interception))}</span>
        <span>${duration(between(started, ended))}</span>
      </p>
      ${error && html`<p class="text bad">${error.message}</p>`}
      ${interception.cache?.broke && html`<${Break} cache=${interception.cache} />`}
      <${Said} interception=${interception} />
    </li>
  `;
}

/** Where the prompt cache broke at a step, what that cost, and what usually helps. */
function Break({ cache }) {
  return html`
    <p class="text cache-break">
      <b>${breakOf(cache.broke)}</b> ${whole(cache.lost_tokens)} tokens were paid for again: ${lossOf(cache)}. ${cureOf(cache.broke)}${" "}
      <a href=${href("interceptions", cache.broke.since)}>The call before</a>
    </p>
  `;
}
