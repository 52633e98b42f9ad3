import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, fields, matching, resolved, sections, typeOf } from "../../../dashboard/js/reference/description.js";

const operation = (operationId, tag, rest = {}) => ({ operationId, tags: [tag], summary: `${operationId} things`, ...rest });
const DESCRIPTION = {
  tags: [{ name: "calls", description: "What was recorded." }, { name: "empty", description: "" }, { name: "users", description: "Who calls." }],
  paths: {
    "/users/{id}": { parameters: [{ name: "id", in: "path" }], get: operation("getUser", "users"), delete: operation("removeUser", "users") },
    "/calls": { get: operation("listCalls", "calls", { parameters: [{ name: "q", in: "query" }] }) },
  },
  components: {
    schemas: {
      Kind: { enum: ["a", "b"] },
      Call: {
        type: "object",
        required: ["id"],
        properties: {
          id: { type: "string", format: "uuid", description: "Its id." },
          kind: { $ref: "#/components/schemas/Kind", description: "Of which kind." },
          parent: { anyOf: [{ $ref: "#/components/schemas/Call" }, { type: "null" }] },
          tags: { type: "object", additionalProperties: { type: "string" } },
        },
      },
      "a/b": { type: "integer" },
    },
  },
};

test("operations are shown by tag, in the order of the description", () => {
  const found = sections(DESCRIPTION);
  assert.deepEqual(found.map(({ name, operations }) => [name, operations.map(({ id, method }) => `${method} ${id}`)]), [
    ["calls", ["get listCalls"]],
    ["users", ["get getUser", "delete removeUser"]],
  ]);
  assert.deepEqual(found[1].operations[0].parameters, [{ name: "id", in: "path" }]);
});

test("every word has to be found", () => {
  const found = (words) => matching(sections(DESCRIPTION), words).flatMap(({ operations }) => operations.map(({ id }) => id));
  assert.deepEqual(found("DELETE users"), ["removeUser"]);
  assert.deepEqual(found("things"), ["listCalls", "getUser", "removeUser"]);
  assert.deepEqual(found("things nothing"), []);
});

test("fields have their types, and say whether they have fields", () => {
  const of = fields(DESCRIPTION, { type: "array", items: { $ref: "#/components/schemas/Call" } });
  assert.deepEqual(of.map(({ name, type, required, text, nested }) => [name, type, required, text, nested]), [
    ["id", "string (uuid)", true, "Its id.", false],
    ["kind", '"a" or "b"', false, "Of which kind.", false],
    ["parent", "Call or null", false, "", true],
    ["tags", "map to string", false, "", false],
  ]);
  assert.equal(typeOf(DESCRIPTION, { type: "array", items: { $ref: "#/components/schemas/Call" } }), "list of Call");
  assert.deepEqual(resolved(DESCRIPTION, { $ref: "#/components/schemas/a~1b" }), { type: "integer" });
});

test("an address has what was given, and shows what is missing", () => {
  const one = { path: "/users/{id}/calls", parameters: [{ name: "id", in: "path" }, { name: "q", in: "query" }, { name: "x", in: "header" }] };
  assert.equal(addressOf(one, { id: "a/b", q: "x y", x: "1" }), "/users/a%2Fb/calls?q=x+y");
  assert.equal(addressOf(one, {}), "/users/{id}/calls");
});
