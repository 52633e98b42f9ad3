import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketAt, changeOf, chartRows, compared, dayTicks, dimensionName, earlier, numberOf, pageOf, searchOfGroup, SUBJECTS, termOf, valueName, walk } from "../../../dashboard/js/charts/statistics.js";
import { dimensionsOf } from "../../../dashboard/js/text/vocabulary.js";
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
  const point = (at, interceptions) => ({ at: new Date(at).toISOString(), interceptions });
  const answer = {
    buckets: ["1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z"],
    group_by: ["model"],
    total: { interceptions: 10 },
    points: [point(0, 7), point(3_600_000, 3)],
    groups: [{ group: { model: "a" }, total: { interceptions: 6 }, points: [point(0, 6)] }],
    other: { total: { interceptions: 4 }, points: [point(0, 1), point(3_600_000, 3)] },
  };
  const pick = ({ interceptions }) => interceptions;
  const rows = chartRows(answer, pick);
  assert.deepEqual(rows.map(({ name, values, total }) => [name, values, total]), [["a", [6, 0], 6], ["Other", [1, 3], 4]]);
  assert.deepEqual(chartRows({ ...answer, other: undefined }, pick).map(({ name }) => name), ["a"]);
  assert.deepEqual(chartRows({ ...answer, group_by: [], groups: [] }, pick).map(({ name, values }) => [name, values]), [["All", [7, 3]]]);
});

test("a provider and a model of it have a page, a model alone that of whoever serves it", () => {
  const group = { provider: "openai", model: "gpt-5", user: ADA };
  assert.deepEqual(pageOf("provider", group), { id: "openai", model: "" });
  assert.deepEqual(pageOf("model", group), { id: "openai", model: "gpt-5" });
  assert.deepEqual(pageOf("model", { model: "gpt-5" }), { id: "", model: "gpt-5" });
  assert.deepEqual([pageOf("user", group), pageOf("model", { model: null }), pageOf("provider", { provider: "" })], [null, null, null]);
});

const HOUR = 3600;
const DAY = 24 * HOUR;
const BUCKETS = [0, 1, 2, 3].map((hour) => `2026-11-25T0${hour}:00:00.000Z`);
const ANSWER = { from: BUCKETS[0], to: "2026-11-25T04:00:00Z", buckets: BUCKETS, bucket: "hour", group_by: ["model"] };
const calls = ({ interceptions }) => interceptions;

function figures(counts) {
  const points = counts.flatMap((interceptions, index) => (interceptions ? [{ at: new Date(Date.parse(ANSWER.from) + index * 1000 * HOUR).toISOString(), interceptions }] : []));
  return { points, total: { interceptions: counts.reduce((sum, count) => sum + count, 0) } };
}

const model = (name, counts) => ({ group: { model: name }, ...figures(counts) });

test("what is too much for a chart is other", () => {
  const many = Array.from({ length: 9 }, (_, index) => model(`m${index}`, [index + 1, 0, 0, 0]));
  const rows = chartRows({ ...ANSWER, groups: many, other: figures([0, 100, 0, 0]) }, calls);
  assert.deepEqual(rows.map(({ name }) => name), ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "Other"]);
  assert.deepEqual(rows.at(-1), { name: "Other", group: null, colour: "series-other", values: [17, 100, 0, 0], total: 117 });
});

test("quantiles are not added up", () => {
  const first = ({ interceptions }) => (interceptions > 1 ? interceptions : null);
  const answer = { ...ANSWER, groups: [model("a", [1, 0, 0, 0]), model("b", [0, 4, 0, 0])], other: figures([9, 9, 9, 9]) };
  const rows = chartRows(answer, first, null);
  assert.deepEqual(rows.map(({ name, values, total }) => [name, values, total]), [["b", [null, 4, null, null], 4]]);
});

test("a moment is in the bucket that has begun, up to its end", () => {
  const times = [0, 1, 2].map((number) => number * DAY);
  assert.deepEqual([-1, 0, DAY - 1, DAY, 2.9 * DAY, 3 * DAY].map((at) => bucketAt(times, DAY, at)), [null, 0, 0, 1, 2, null]);
});

test("the time before stands beside the buckets of now, first beside first", () => {
  const point = (at, interceptions) => ({ at, interceptions });
  const buckets = [21, 22, 23].map((hour) => `2026-11-24T${hour}:00:00Z`);
  const before = { buckets, total: { interceptions: 5 }, points: [point("2026-11-24T21:00:00Z", 2), point("2026-11-24T23:00:00Z", 3)] };
  assert.deepEqual(earlier({ ...ANSWER, previous: before }, calls), { name: "Time before", values: [2, 0, 3, null], total: 5 });
  assert.deepEqual(earlier({ ...ANSWER, buckets: BUCKETS.slice(0, 2), previous: before }, calls).values, [2, 0]);
  assert.equal(earlier({ ...ANSWER, previous: { ...before, total: { interceptions: 0 } } }, calls), null);
  assert.equal(earlier(ANSWER, calls), null);
});

test("ticks of days, weeks and months are starts of buckets, none twice", () => {
  for (const step of [DAY, 7 * DAY, 28 * DAY]) {
    const drawn = Array.from({ length: 9 }, (_, index) => Date.UTC(2026, 2, 23) / 1000 + index * step);
    const { incrs, splits } = dayTicks(drawn, step);
    assert.equal(incrs[0], step); // no room makes a tick within a bucket
    assert.deepEqual(splits(null, 0, drawn[0], drawn.at(-1), incrs[0]), drawn);
    assert.deepEqual(splits(null, 0, drawn[0], drawn.at(-1), incrs[1]), drawn.filter((_, index) => index % 2 === 0));
    assert.deepEqual([...incrs].sort((one, another) => one - another), incrs); // uPlot searches in them
    assert.ok(incrs.every((distance) => distance % DAY === 0));
  }
});

const press = (key, where, shiftKey = false) => walk({ key, shiftKey }, { at: null, anchor: null, length: 24, ...where });

test("arrows go from bar to bar and stop at the ends", () => {
  assert.deepEqual(press("ArrowRight", {}), { at: 0, anchor: null });
  assert.deepEqual(press("ArrowLeft", {}), { at: 23, anchor: null });
  assert.deepEqual(press("ArrowRight", { at: 3 }), { at: 4, anchor: null });
  assert.deepEqual(press("ArrowRight", { at: 23 }), { at: 23, anchor: null });
  assert.deepEqual(press("ArrowLeft", { at: 0 }), { at: 0, anchor: null });
  assert.deepEqual(press("Home", { at: 9 }), { at: 0, anchor: null });
  assert.deepEqual(press("End", { at: 9 }), { at: 23, anchor: null });
});

test("with Shift a range is chosen, and an arrow alone gives it up", () => {
  assert.deepEqual(press("ArrowLeft", { at: 5 }, true), { at: 4, anchor: 5 });
  assert.deepEqual(press("ArrowLeft", { at: 4, anchor: 5 }, true), { at: 3, anchor: 5 });
  assert.deepEqual(press("ArrowLeft", { at: 3, anchor: 5 }), { at: 2, anchor: null });
});

test("Enter picks the bar, or the range", () => {
  assert.equal(press("Enter", {}), null);
  assert.deepEqual(press("Enter", { at: 5 }), { picked: [5, 5] });
  assert.deepEqual(press("Enter", { at: 3, anchor: 5 }), { picked: [3, 5] });
});

test("other keys are left to the page", () => assert.equal(press("j", { at: 1 }), null));
