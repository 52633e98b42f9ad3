/** Which models a proposal allows or denies, as somebody types them. Pure. */

/** Patterns with spaces or commas between them. */
export function patternsIn(text) {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** The `models` of a proposal; undefined where nothing is typed. */
export function modelsOf(allowed, denied) {
  const [allow, deny] = [allowed, denied].map(patternsIn);
  const models = { ...(allow.length && { allow }), ...(deny.length && { deny }) };
  return Object.keys(models).length ? models : undefined;
}
