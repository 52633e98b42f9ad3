/** What an OpenAPI description says, in the order that a page shows it. Pure. */

const METHODS = ["get", "put", "post", "delete", "patch", "head", "options"];

/**
 * The operations by the first of their tags, in the order of the description.
 *
 * @returns {{name: string, description: string, operations: {id, method, path, ...}[]}[]} tags without operations are left out.
 */
export function sections({ tags, paths }) {
  const all = Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({
      ...item[method],
      id: item[method].operationId ?? `${method}:${path}`,
      method,
      path,
      parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])],
    })),
  );
  return tags
    .map(({ name, description }) => ({ name, description, operations: all.filter((one) => one.tags[0] === name) }))
    .filter(({ operations }) => operations.length);
}

/** The sections with the operations that have every word in their path or texts. */
export function matching(found, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = ({ method, path, summary, description = "" }) => {
    const text = `${method} ${path} ${summary} ${description}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
  return found.map((section) => ({ ...section, operations: section.operations.filter(fits) })).filter(({ operations }) => operations.length);
}

/** The target of a reference in the description; anything else unchanged. */
export function resolved(description, thing) {
  if (!thing?.$ref) return thing;
  const { $ref: reference, ...beside } = thing;
  const found = reference.replace(/^#\//, "").split("/").reduce((at, name) => at[name.replaceAll("~1", "/").replaceAll("~0", "~")], description);
  return { ...found, ...beside };
}

/** The type of a schema in a few words: `text (uuid) or null`, `list of Interception`. */
export function typeOf(description, schema) {
  const named = schema.$ref?.split("/").at(-1);
  const { type, format, enum: values, const: only, anyOf, oneOf, items, additionalProperties } = resolved(description, schema);
  if (values) return values.map((value) => JSON.stringify(value)).join(" or ");
  if (only !== undefined) return JSON.stringify(only);
  if (anyOf ?? oneOf) return (anyOf ?? oneOf).map((one) => typeOf(description, one)).join(" or ");
  if (type === "array") return `list of ${items ? typeOf(description, items) : "anything"}`;
  if (type === "object" && additionalProperties?.type) return `map to ${typeOf(description, additionalProperties)}`;
  if (named) return named;
  if (Array.isArray(type)) return type.join(" or ");
  return format ? `${type} (${format})` : (type ?? "anything");
}

/** The schema that has the fields of one: of a list that of its items, of several kinds the first with fields; else null. */
function withFields(description, schema) {
  const found = resolved(description, schema);
  if (found.properties) return found;
  if (found.items) return withFields(description, found.items);
  return (found.anyOf ?? found.oneOf ?? []).map((one) => withFields(description, one)).find(Boolean) ?? null;
}

/** The fields of a schema as `{name, schema, type, required, text, nested}`; `nested` says whether they have fields again. */
export function fields(description, schema) {
  const { properties = {}, required = [] } = withFields(description, schema) ?? {};
  return Object.entries(properties).map(([name, one]) => ({
    name,
    schema: one,
    type: typeOf(description, one),
    required: required.includes(name),
    text: one.description ?? resolved(description, one).description ?? "",
    nested: withFields(description, one) !== null,
  }));
}

/** The first example of a body, as JSON text; "" where there is none. */
export function exampleOf(description, media) {
  const first = Object.values(media.examples ?? {}).map((one) => resolved(description, one))[0];
  const value = first?.value ?? media.example;
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The path with its parameters and a query of those that were given. */
export function addressOf({ path, parameters }, values) {
  const filled = path.replace(/\{([^}]+)\}/g, (whole, name) => (values[name] ? encodeURIComponent(values[name]) : whole));
  const query = new URLSearchParams(parameters.filter((one) => one.in === "query" && values[one.name]).map((one) => [one.name, values[one.name]]));
  return filled + (query.size ? `?${query}` : "");
}

/** The pieces of a text as `{text, code}`: text in backticks is code. */
export function spans(text) {
  return text
    .split(/`([^`]+)`/)
    .map((piece, index) => ({ text: piece, code: index % 2 === 1 }))
    .filter((piece) => piece.text);
}
