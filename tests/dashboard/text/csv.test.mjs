import assert from "node:assert/strict";
import { test } from "node:test";
import { reconciledCsv, sessionsCsv } from "../../../dashboard/js/text/csv.js";

const SESSION = {
  id: "1", started_at: "2026-03-01T12:00:00.000Z", last_active_at: "2026-03-01T12:00:01.000Z", initiator: { username: '=1,"2' },
  client: null, models: ["a", "b"], interceptions: 3, failures: 0, retries: { calls: 1 }, cache: { rate: 0.5, lost_usd: null }, cost_usd: -1,
  first_prompt: "secret",
};

test("sessions are exported without prompts, and no cell is a formula", () => {
  assert.equal(
    sessionsCsv([SESSION]),
    "id,started_at,last_active_at,username,client,models,calls,failures,retries,cache_rate,lost_usd,cost_usd\r\n" +
      `1,2026-03-01T12:00:00.000Z,2026-03-01T12:00:01.000Z,"'=1,""2",,a b,3,0,1,0.5,,-1\r\n`,
  );
});

test("a formula behind blanks, in full width or behind another separator is none either", () => {
  const cells = { " =1": "' =1", "\uff1d1": "'\uff1d1", "a;=1": `"a;'=1"`, '"=1': `"'""=1"`, "\t1": `"'\t1"`, "a-1": "a-1", "a;b": `"a;b"`, "a\n@b": `"a\n'@b"` };
  for (const [client, expected] of Object.entries(cells)) {
    const [, row] = sessionsCsv([{ ...SESSION, client, initiator: { username: "u" } }]).split(/\r\n/);
    assert.equal(row, `1,2026-03-01T12:00:00.000Z,2026-03-01T12:00:01.000Z,u,${expected},a b,3,0,1,0.5,,-1`);
  }
});

test("what is compared with the bill is exported, day by day", () => {
  const figures = (tokens, cost_usd) => ({ tokens, cost_usd });
  const row = { day: "2026-09-01", model: "m", recorded: figures(3, 0.5), reported: figures(null, 1), difference: figures(null, 0.5), verdict: "differs", reason: "a, b" };
  assert.equal(
    reconciledCsv([row]),
    "day,model,recorded_tokens,reported_tokens,difference_tokens,recorded_usd,reported_usd,difference_usd,verdict,reason\r\n" +
      `2026-09-01,m,3,,,0.5,1,0.5,differs,"a, b"\r\n`,
  );
});
