/** What completes the values of a search: names that occur, requested once the box is used. */

import { isSearchable } from "./query.js";
import { useResource } from "../server/resource.js";
import { seesEveryone } from "../frame/shell.js";

const MAX_NAMES = 1000;
const DAYS = 30;
/** By which things calls are grouped to learn their names, and the keys that find them. */
const COUNTED = { tool: "tool", error: "error_type" };

/** Recorded values, by key. */
export function useNames(wanted = true) {
  const names = { model: "models", provider_name: "providers", client: "clients" };
  const lists = Object.values(names).map((path) => useResource(wanted ? path : null, { limit: 200 }).data ?? []);
  return Object.fromEntries(Object.keys(names).map((key, index) => [key, lists[index].filter(isSearchable)]));
}

/** The values by key, added to those that are `known` already; where that is `true`, names are requested too. */
export function useKnown(known, user, isUsed) {
  const from = new Date(Math.floor(Date.now() / 86_400_000 - DAYS) * 86_400_000).toISOString();
  const names = useNames(isUsed && known === true);
  const mayList = isUsed && seesEveryone(user);
  const namesIn = (path, wanted) => useResource(wanted ? path : null, { limit: MAX_NAMES }).data;
  const [tags, users, groups] = [namesIn("tags", isUsed), namesIn("users", mayList), namesIn("groups", mayList)];
  const counted = Object.entries(COUNTED).map(([key, by]) => {
    const { data } = useResource(isUsed ? "stats" : null, { from, group_by: by, limit: MAX_NAMES });
    return [key, (data?.groups ?? []).map(({ group }) => group[by]).filter(Boolean)];
  });
  return {
    ...(known === true ? names : known),
    tag: (tags ?? []).map((name) => `${name}=`),
    user: (users?.results ?? []).map(({ username }) => username),
    group: (groups?.results ?? []).map(({ name }) => name),
    ...Object.fromEntries(counted),
  };
}
