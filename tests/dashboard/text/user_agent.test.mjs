import assert from "node:assert/strict";
import { test } from "node:test";
import { browserName } from "../../../dashboard/js/text/format.js";

const SAID = {
  "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0": "Firefox on Linux",
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36": "Chrome on Linux",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0": "Edge on Windows",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15": "Safari on Mac",
  "curl/8.5.0": "curl",
  "": "An unknown program",
};

for (const [userAgent, name] of Object.entries(SAID)) {
  test(`"${userAgent.slice(0, 30)}.." is called "${name}"`, () => assert.equal(browserName(userAgent), name));
}
