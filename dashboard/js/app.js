/** Who is signed in, and which view is shown. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { get, onSignedOut, signIn } from "./server/api.js";
import { Failure } from "./parts/states.js";
import { readCode, readRefusal, useRoute } from "./frame/router.js";
import { Shell } from "./frame/shell.js";
import { Audit } from "./views/accounts/audit.js";
import { Bill } from "./views/money/bill.js";
import { Connect } from "./views/start/connect.js";
import { Device } from "./views/sign_in/device.js";
import { Errors } from "./views/calls/errors.js";
import { Examples } from "./views/start/examples.js";
import { Explore } from "./views/explore/explore.js";
import { Groups } from "./views/accounts/groups.js";
import { Interceptions } from "./views/calls/interceptions.js";
import { Limits } from "./views/limits/limits.js";
import { Overview } from "./views/overview/overview.js";
import { Policies } from "./views/limits/policies.js";
import { Prices } from "./views/money/prices.js";
import { Providers } from "./views/providers/providers.js";
import { Refusals } from "./views/calls/refusals.js";
import { Sessions } from "./views/sessions/sessions.js";
import { Session } from "./views/sessions/session.js";
import { SignIn, whyRefused } from "./views/sign_in/sign_in.js";
import { OwnTokens } from "./views/accounts/tokens.js";
import { Unknown } from "./views/unknown.js";
import { Usage } from "./views/limits/usage.js";
import { Users } from "./views/accounts/users.js";
import { Webhooks } from "./views/webhooks/webhooks.js";

const VIEWS = {
  overview: Overview,
  explore: Explore,
  interceptions: Interceptions,
  refusals: Refusals,
  errors: Errors,
  sessions: ({ route, user }) => (route.id ? html`<${Session} key=${route.id} id=${route.id} />` : html`<${Sessions} route=${route} user=${user} />`),
  limits: Limits,
  providers: Providers,
  users: Users,
  groups: Groups,
  policies: Policies,
  prices: Prices,
  bill: Bill,
  webhooks: Webhooks,
  usage: Usage,
  audit: Audit,
  tokens: OwnTokens,
  connect: Connect,
  examples: Examples,
  device: ({ route }) => html`<${Device} key=${route.id} route=${route} />`,
};

/** The whole page. */
export function App() {
  const [code] = useState(readCode); // before the route is read
  const [refusal, setRefusal] = useState(() => whyRefused(readRefusal()));
  const route = useRoute();
  const [user, setUser] = useState(undefined);
  const [error, setError] = useState(null);
  const signedOut = (why) => {
    setRefusal(why);
    setUser(null);
  };
  const meet = () => {
    setError(null);
    const known = (user) => {
      setRefusal(null);
      setUser(user);
    };
    return get("users/me").then(known, (failure) => (failure.status === 401 ? setUser(null) : setError(failure)));
  };
  // Who is signed in stays who they are.
  const enter = (code) => get("users/me").catch(() => signIn({ code })).then(meet, signedOut);
  useEffect(() => {
    if (code) enter(code);
    else meet();
    const follow = () => {
      const next = readCode();
      if (next) enter(next);
    };
    addEventListener("hashchange", follow);
    const forget = onSignedOut(() => setUser((before) => (before === undefined ? before : null)));
    return () => {
      removeEventListener("hashchange", follow);
      forget();
    };
  }, []);
  if (error) return html`<main class="gate"><h1>AI Bridge</h1><${Failure} error=${error} retry=${meet} /></main>`;
  if (user === undefined) return html`<header class="top"><span class="brand"><img src="dashboard/icon.svg" alt="" width="22" height="22" />AI Bridge</span></header>`;
  if (user === null) return html`<${SignIn} refusal=${refusal} onSignedIn=${meet} />`;
  const View = Object.hasOwn(VIEWS, route.view) ? VIEWS[route.view] : Unknown;
  return html`<${Shell} route=${route} user=${user}><${View} route=${route} user=${user} onMyself=${meet} /><//>`;
}
