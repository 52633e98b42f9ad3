// The certified OpenID provider of npm, on loopback: who signs in types a name, and is whom `accounts` says.
//
// node provider.mjs '{"clients": [..], "accounts": {"NAME": {"email": ..}}}'
// Prints its issuer. POST /accounts with such accounts changes them.

import { createServer } from "node:http";
import Provider from "oidc-provider";

const { clients, accounts, features = {} } = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

// As the provider's own page, without a font from elsewhere.
async function logoutSource(context, form) {
  context.body = `<!doctype html><title>Sign out</title>${form}<button form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>`;
}

const provider = new Provider(issuer, {
  clients,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username", "groups"] },
  cookies: { keys: ["of-the-tests"] },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true, logoutSource }, ...features },
  findAccount: (_, id) => accounts[id] && { accountId: id, claims: async () => ({ sub: id, ...accounts[id] }) },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
});

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

async function interact(request, response) {
  const { uid, params, prompt } = await provider.interactionDetails(request, response);
  if (request.method === "GET") {
    response.setHeader("Content-Type", "text/html");
    response.end(`<form method="post" action="/interaction/${uid}"><input name="login"><button>${prompt.name}</button></form>`);
    return;
  }
  const login = new URLSearchParams(await body(request)).get("login");
  if (!login) {
    await provider.interactionFinished(request, response, { error: "access_denied" }, { mergeWithLastSubmission: false });
    return;
  }
  const grant = new provider.Grant({ accountId: login, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { login: { accountId: login }, consent }, { mergeWithLastSubmission: false });
}

server.on("request", async (request, response) => {
  if (request.method === "POST" && request.url === "/accounts") {
    Object.assign(accounts, JSON.parse(await body(request)));
    response.end();
  } else if (request.url === "/favicon.ico") {
    response.writeHead(204).end();
  } else if (request.url.startsWith("/interaction/")) {
    await interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
  } else {
    provider.callback()(request, response);
  }
});
console.log(issuer);
