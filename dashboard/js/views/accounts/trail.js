/** What an entry of the audit trail says, in words, and what entries are of. Pure. */

import { plural, time, words } from "../../text/format.js";

/** What entries are of, as the API calls it and as people do. */
export const KINDS = [
  ["user", "Users and sign-ins"],
  ["group", "Groups"],
  ["token", "Tokens"],
  ["policy", "Policies"],
  ["provider", "Providers"],
  ["prices,recost", "Prices"],
  ["webhook", "Webhooks"],
  ["view", "Saved views"],
  ["calls", "Calls of others"],
  ["session,sign_in_link", "Sessions"],
  ["authentication,access", "Refused"],
  ["demo", "Demo company"],
];

const SAID = {
  "user.added": ({ subject, detail }) => `added ${subject.username} as ${detail.role}${detail.name === subject.username ? "" : `, named “${detail.name}”`}`,
  "user.changed": ({ subject, detail }) => `changed ${subject.username}: ${changes(detail)}`,
  "user.linked": ({ subject, detail }) => `linked ${subject.username} to who signs in at ${detail.issuer}`,
  "user.removed": ({ subject, detail }) => `removed ${subject.username} and revoked ${plural(detail.revoked_tokens, "token")}`,
  "group.added": ({ detail }) => `added the group ${detail.group}${detail.name === detail.group ? "" : `, named “${detail.name}”`}`,
  "group.changed": ({ detail }) => `changed the group ${detail.group}: ${groupChanges(detail)}`,
  "group.removed": ({ detail }) => `removed the group ${detail.group}, which had ${plural(detail.members, "member")}, and revoked ${plural(detail.revoked_tokens, "token")}`,
  "group.member_added": ({ subject, detail }) => `added ${subject.username} to the group ${detail.group}`,
  "group.member_removed": ({ subject, detail }) => `removed ${subject.username} from the group ${detail.group}`,
  "policy.changed": ({ detail }) => `changed the policy of ${detail.policy}`,
  "policy.removed": ({ detail }) => `removed the policy of ${detail.policy}`,
  "token.created": (entry) => `created ${token(entry)}, which ${entry.detail.expires_at ? `expires ${time(entry.detail.expires_at)}` : "never expires"}`,
  "token.replaced": (entry) => `replaced ${token(entry)} by ${entry.detail.replaced_by}; it expires ${time(entry.detail.expires_at)}`,
  "token.revoked": (entry) => `revoked ${token(entry)}`,
  "provider.added": ({ detail }) => `added the provider ${detail.provider}`,
  "provider.changed": ({ detail }) => `changed the provider ${detail.provider}: ${(detail.changes ?? []).map(words).join(", ")}`,
  "provider.removed": ({ detail }) => `removed the provider ${detail.provider}`,
  "view.added": ({ detail }) => `saved the view “${detail.name}”`,
  "view.changed": (entry) => `changed ${view(entry)}: ${viewChanges(entry.detail)}`,
  "view.removed": (entry) => `removed ${view(entry)}`,
  "user.signed_in": ({ detail }) => `signed in${times(detail)}`,
  "session.ended": ({ subject, detail }) => `ended a session of ${subject.username}${detail.token_id ? `, who had signed in with token ${detail.token_id}` : ""}`,
  "sign_in_link.created": ({ subject }) => `made a link that signs ${subject.username} in once`,
  "prices.changed": ({ detail }) => `changed own prices: ${plural(detail.prices_added?.length ?? 0, "price")} came, ${detail.prices_removed?.length ?? 0} went`,
  "recost.requested": ({ detail }) => `had calls from ${time(detail.start)} until ${time(detail.end)} priced again`,
  "recost.cancelled": () => "stopped calls from being priced again",
  "webhook.added": ({ detail }) => `added the webhook ${detail.webhook_id}`,
  "webhook.changed": ({ detail }) => `changed the webhook ${detail.webhook_id}: ${detail.changes.join(", ")}`,
  "webhook.removed": ({ detail }) => `removed the webhook ${detail.webhook_id}`,
  "demo.filled": () => "had the demo company filled in",
  "demo.removed": () => "removed the demo company",
  "calls.read": ({ subject, detail }) => `read ${plural(detail.count, "call")} of ${subject?.username || "others"} (${detail.way})`,
  "calls.searched": ({ subject, detail }) => `searched what ${subject?.username || "others"} wrote${times(detail)}`,
  "authentication.failed": ({ detail }) => `was not authenticated${times(detail)}: ${words(detail.reason)} (${words(detail.plane)})`,
  "access.denied": ({ detail }) => `was refused${times(detail)}: ${detail.message} (${words(detail.plane)})`,
};

/** The predicate of a sentence whose subject is the actor. */
export function whatWasDone(entry) {
  const say = Object.hasOwn(SAID, entry.action) ? SAID[entry.action] : ({ action, subject }) => [words(action), subject?.username].filter(Boolean).join(" ");
  return say(entry);
}

/** How often something happened within an hour. */
function times({ count, last_at: last }) {
  return count > 1 ? ` ${count} times, last at ${time(last)}` : "";
}

function changes({ role, role_before: roleBefore, name, name_before: nameBefore, cost_centre: centre, cost_centre_before: centreBefore }) {
  const paid = centre === undefined ? "" : `cost centre “${centre}” instead of “${centreBefore}”`;
  return [role && `from ${roleBefore} to ${role}`, name && `named “${name}” instead of “${nameBefore}”`, paid].filter(Boolean).join(", ");
}

function groupChanges({ group_before: before, name, name_before: nameBefore }) {
  return [before && `it was ${before}`, name && `named “${name}” instead of “${nameBefore}”`].filter(Boolean).join(", ");
}

function viewChanges({ changes, name_before: before }) {
  return changes.map((field) => (field === "name" ? `it was “${before}”` : field)).join(", ");
}

function view({ actor, subject, detail }) {
  return `${actor.id === subject.id ? "their" : `${subject.username}'s`} view “${detail.name}”`;
}

function token({ actor, subject, detail }) {
  const whose = actor.id === subject.id ? "their" : `${subject.username}'s`;
  return `${whose} token ${detail.name ? `“${detail.name}” ` : ""}(${detail.token_id})`;
}
