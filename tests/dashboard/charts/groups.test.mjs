import assert from "node:assert/strict";
import { test } from "node:test";
import { changeOf, compared, dimensionName, numberOf, pageOf, searchOfGroup, SUBJECTS, termOf, valueName } from "../../../dashboard/js/charts/groups.js";
import { dimensionsOf } from "../../../dashboard/js/text/vocabulary.js";
import { chartRows } from "../../../dashboard/js/charts/series.js";
import "../learned.mjs";

const ADA = { id: "5696ce06-dafb-46d9-abac-4ba68b2ecaee", name: "Ada Lovelace", username: "ada" };

test("values are called what people call them", () => {
  const values = [ADA, { id: "Q3GaWIRIfD", name: "laptop", username: "ada" }, { id: "x", name: "research" }, { id: null, name: "" }, null, true, 429, "gpt-5"];
  assert.equal(valueName("unknown_route", "rule"), "Unknown route");
  assert.deepEqual(values.map((value) => valueName(value)), ["ada", "ada · laptop · Q3GaWIRIfD", "research", "No group", "None", "Yes", "429", "gpt-5"]);
  assert.deepEqual(["user", "tag.project"].map(dimensionName), ["User", "Tag project"]);
});

test("a group leads to its calls, within the search that is there", () => {
  assert.equal(searchOfGroup("status:failed", { user: ADA, model: "a b" }, ["user", "model"]), 'status:failed user:ada model:"a b"');
  assert.equal(searchOfGroup("", { "tag.project": "apollo" }, ["tag.project"]), "tag:project=apollo");
  assert.equal(searchOfGroup("", { http_status: 429, streaming: true }, ["http_status", "streaming"]), "http:429 streaming:true");
  assert.equal(searchOfGroup("", { model: null }, ["model"]), null);
  assert.equal(termOf("session", "x"), null);
  assert.equal(termOf("group", { id: null, name: "" }), null);
  assert.deepEqual(termOf("token", { id: "Q3GaWIRIfD", name: "laptop", username: "ada" }), ["token", "Q3GaWIRIfD"]);
});

test("a change is told as people tell it", () => {
  const told = [[112, 100], [95.5, 100], [100, 100], [5, 0], [0, 0], [0, 50], [5000, 100]].map(([now, before]) => changeOf(now, before));
  assert.deepEqual(told, ["+12 %", "−4.5 %", "±0 %", "new", "", "−100 %", "×50"]);
  assert.equal(compared({ cost_usd: null, interceptions: 3 }, { cost_usd: null }), 3);
  assert.equal(compared({ cost_usd: null, interceptions: 3 }, { cost_usd: 2 }), 0);
});

test("what is refused and sessions are added up too, each by what it has and found by its own keys", () => {
  assert.ok(dimensionsOf("calls").includes("tool") && !dimensionsOf("calls").includes("rule"));
  assert.deepEqual(Object.keys(SUBJECTS).map((subject) => dimensionsOf(subject).includes("rule")), [false, true, false]);
  const group = { rule: "rate", provider: "openai", user: ADA, http_status: 429, token: { id: "Q3GaWIRIfD", name: "", username: "ada" } };
  assert.equal(searchOfGroup("", group, Object.keys(group), "refusals"), "rule:rate provider:openai user:ada status:429 api_key_id:Q3GaWIRIfD");
  assert.equal(searchOfGroup("", { user: ADA, provider: "openai" }, ["user", "provider"], "sessions"), "user:ada provider_name:openai");
  assert.deepEqual([{ refusals: 3 }, { sessions: 2, interceptions: 9 }, { interceptions: 4 }].map(numberOf), [3, 2, 4]);
  assert.equal(compared({ refusals: 3 }, { refusals: 7 }), 3);
});

test("what is in no group of a chart is other", () => {
  const starts = [0, 3_600_000];
  const point = (at, interceptions) => ({ at: new Date(at).toISOString(), interceptions });
  const answer = {
    group_by: ["model"],
    total: { interceptions: 10 },
    points: [point(0, 7), point(3_600_000, 3)],
    groups: [{ group: { model: "a" }, total: { interceptions: 6 }, points: [point(0, 6)] }],
    other: { total: { interceptions: 4 }, points: [point(0, 1), point(3_600_000, 3)] },
  };
  const pick = ({ interceptions }) => interceptions;
  const rows = chartRows(answer, starts, pick);
  assert.deepEqual(rows.map(({ name, values, total }) => [name, values, total]), [["a", [6, 0], 6], ["Other", [1, 3], 4]]);
  assert.deepEqual(chartRows({ ...answer, other: undefined }, starts, pick).map(({ name }) => name), ["a"]);
  assert.deepEqual(chartRows({ ...answer, group_by: [], groups: [] }, starts, pick).map(({ name, values }) => [name, values]), [["All", [7, 3]]]);
});

test("a provider and a model of it have a page, a model alone that of whoever serves it", () => {
  const group = { provider: "openai", model: "gpt-5", user: ADA };
  assert.deepEqual(pageOf("provider", group), { id: "openai", model: "" });
  assert.deepEqual(pageOf("model", group), { id: "openai", model: "gpt-5" });
  assert.deepEqual(pageOf("model", { model: "gpt-5" }), { id: "", model: "gpt-5" });
  assert.deepEqual([pageOf("user", group), pageOf("model", { model: null }), pageOf("provider", { provider: "" })], [null, null, null]);
});
