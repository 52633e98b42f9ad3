/** What completes the values of a search: names that occur, requested once the box is used. */

import { seesEveryone } from "../frame/registry.js";
import { useKept } from "../server/resource.js";
import { isSearchable } from "./query.js";

const MAX_NAMES = 1000;
const NAMES = { model: "models", provider_name: "providers", client: "clients" };
/** By which things calls are grouped to learn their names, and the keys that find them. */
const COUNTED = { tool: "tool", error: "error_type" };

/** Recorded values, by key. */
export function useNames(wanted = true) {
  const found = Object.entries(NAMES).map(([key, path]) => [key, useKept(wanted ? path : null, { limit: 200 })]);
  return Object.fromEntries(found.map(([key, names]) => [key, (names ?? []).filter(isSearchable)]));
}

/** The values by key, added to those that are `known` already; where that is `true`, names are requested too. */
export function useKnown(known, user, isUsed) {
  const names = useNames(isUsed && known === true);
  const mayList = isUsed && seesEveryone(user);
  const namesIn = (path, wanted) => useKept(wanted ? path : null, { limit: MAX_NAMES });
  const [tags, users, groups] = [namesIn("tags", isUsed), namesIn("users", mayList), namesIn("groups", mayList)];
  const counted = Object.entries(COUNTED).map(([key, by]) => {
    const data = useKept(isUsed ? "stats" : null, { range: "30d", group_by: by, limit: MAX_NAMES });
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
