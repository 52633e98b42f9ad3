/** The search language of the API, as far as the filters write it. Pure; it is read as `storage/queries/filters/search_language.py` reads it. */

import { searchKeys } from "../text/vocabulary.js";

/** Ids of interceptions, and of requests and responses as providers form them. */
const ID = new RegExp(
  "^(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}" +
    "|(?:req|resp|msg|chatcmpl|cmpl|gen|modr|msgbatch)[_-][\\w-]{8,256}|(?:resp|msg|chatcmpl|cmpl)[_-][0-9]{1,8})$",
  "i",
);
const GEMINIS_ID = /^(?=[\w-]*[a-z])(?=(?:[\w-]*?[A-Z]){4})[\w-]{22,28}$/;

const WORD = /(?:"[^"]*"|[^" ])+/g;

// As `intercept/secrets.py` knows them: tokens of the bridge, keys with a vendor's prefix, JSON web tokens.
const SECRET = new RegExp(
  "(?<![A-Za-z0-9])(?:[A-Za-z0-9]{10}-[A-Za-z0-9]{22}(?![A-Za-z0-9])" +
    "|(?:sk|pk|rk|gsk|csk|xai|hf|npm|pplx|nvapi|glpat|shpat|xox[abeoprs]|xapp|gh[oprsu]|github_pat|AGE-SECRET-KEY)[-_][A-Za-z0-9_-]{16}" +
    "|(?:AIza|AKIA|ASIA)[A-Za-z0-9_-]{16}|(?:ya29|SG)\\.[A-Za-z0-9_.-]{16}" +
    "|AQ\\.[A-Za-z0-9_-]{24}|(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=_-]{16}" +
    "|eyJ[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*)",
);

/** Whether a search has something in it that looks like a token or a key, which must not stand in an address. */
export function holdsSecret(q) {
  return SECRET.test(q);
}

const COMPARED = /^[<>=]+[\w.%]+$/;
const TOKEN = /^[A-Za-z0-9]{10}-[A-Za-z0-9]{22}$/;

/** Whether a text is a token of the bridge and nothing else. */
export function isToken(text) {
  return TOKEN.test(text.trim());
}

/** The words of a search as `{key, value, text}`; a bare word has the key "". */
export function terms(q) {
  return (q.match(WORD) ?? []).map((text) => {
    const colon = colonOutsideQuotes(text);
    if (colon < 0) return { key: "", value: unquoted(text), text };
    const key = unquoted(text.slice(0, colon)).toLowerCase();
    return { key: key === "initiator" ? "user" : key, value: unquoted(text.slice(colon + 1)), text };
  });
}

/** The value of a key, or "" if the search does not have it. */
export function valueOf(q, key) {
  return terms(q).find((term) => means(term, key))?.value ?? "";
}

/** The search with this value for a key in place of any other, or without the key where the value is "". */
export function withTerm(q, key, value) {
  const kept = terms(q).filter((term) => !means(term, key));
  const words = kept.map((term) => term.text);
  if (value) words.push(`${key}:${quoted(value)}`);
  return words.join(" ");
}

/** A search of several keys; those without a value are left out. */
export function searchFor(values) {
  return Object.entries(values).reduce((q, [key, value]) => withTerm(q, key, value), "");
}

const MAX_COMPLETIONS = 12;

/**
 * What the last word of a search may become, as the whole search and without quotes: first a key, then a value of it. `known` has
 * further values by key.
 */
export function completions(q, known = {}) {
  const last = q.match(/(?:"[^"]*"?|[^" ])*$/)[0];
  const [, negated, key, colon, typed] = last.match(/^(-?)([^:]*)(:?)(.*)$/s);
  const head = q.slice(0, q.length - last.length) + negated;
  if (!key) return [];
  const keys = searchKeys();
  if (!colon) {
    const names = Object.keys(keys).filter((name) => name.startsWith(key.toLowerCase()));
    return names.map((name) => ({ text: `${head}${name}:`, label: `${head}${name}:` }));
  }
  const values = [...(keys[key.toLowerCase()] ?? []), ...(known[key.toLowerCase()] ?? [])].filter(isSearchable);
  const fitting = [...new Set(values)].filter((value) => value.toLowerCase().startsWith(unquoted(typed).toLowerCase()));
  return fitting.slice(0, MAX_COMPLETIONS).map((value) => ({ text: `${head}${key}:${COMPARED.test(value) ? value : quoted(value)}`, label: `${head}${key}:${value}` }));
}

/** Whether a search can have this value: the language has no way to write a double quote. */
export function isSearchable(value) {
  return Boolean(value) && !value.includes('"');
}

/** The id that a search is, or "". */
export function idOf(q) {
  const [term, ...others] = terms(q);
  return term && !term.key && others.length === 0 && isId(term.value) ? term.value : "";
}

/** A word without a key is an id where it has the form of one, and is searched for in texts otherwise. */
function means(term, key) {
  return (term.key || (isId(term.value) ? "request_id" : "")) === key;
}

function isId(text) {
  return ID.test(text) || GEMINIS_ID.test(text);
}

function quoted(value) {
  return /^[\w./@=-]+$/.test(value) ? value : `"${value.replaceAll('"', "")}"`;
}

function unquoted(text) {
  return text.replaceAll('"', "");
}

function colonOutsideQuotes(text) {
  let inside = false;
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === '"') inside = !inside;
    else if (text[index] === ":" && !inside) return index;
  }
  return -1;
}
