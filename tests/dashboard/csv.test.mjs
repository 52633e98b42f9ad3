import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionsCsv } from "../../dashboard/js/csv.js";

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
