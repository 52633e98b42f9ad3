/** Who is signed in, and which view is shown. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { IN_DEMO, InDemo, ROOT } from "./frame/demo.js";
import { readCode, readRefusal, useRoute } from "./frame/router.js";
import { Shell } from "./frame/shell.js";
import { useView, View } from "./frame/views.js";
import { Failure } from "./parts/states.js";
import { get, onSignedOut, signIn } from "./server/api.js";
import { learn } from "./text/vocabulary.js";
import { SignIn, whyRefused } from "./views/sign_in/sign_in.js";

/** The whole page. */
export function App() {
  const [code] = useState(readCode); // before the route is read
  const [refusal, setRefusal] = useState(() => whyRefused(readRefusal()));
  const route = useRoute();
  const failure = useView(route);
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
    const greet = (user) => get("vocabulary").then(learn, () => {}).then(() => known(user)); // without it the API's own words are shown
    return get("users/me").then(greet, (failure) => (failure.status === 401 ? setUser(null) : setError(failure)));
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
    const forget = onSignedOut(() => {
      if (IN_DEMO) location.replace(ROOT); // where one signs in
      else setUser((before) => (before === undefined ? before : null));
    });
    return () => {
      removeEventListener("hashchange", follow);
      forget();
    };
  }, []);
  if (error) return html`<main class="gate stack"><h1>AI Bridge</h1><${Failure} error=${error} retry=${meet} />${IN_DEMO && html`<${InDemo} />`}</main>`;
  if (user === undefined) return html`<header class="top"><span class="brand"><img src="dashboard/icon.svg" alt="" width="22" height="22" />AI Bridge</span></header>`;
  if (user === null) return html`<${SignIn} refusal=${refusal} onSignedIn=${meet} />`;
  return html`<${Shell} route=${route} user=${user}><${View} failure=${failure} route=${route} user=${user} onMyself=${meet} /><//>`;
}
