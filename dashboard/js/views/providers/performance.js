/** How a provider fares, in words. Pure. */

import { duration, percent } from "../../text/format.js";

/** Half of all waits, and 95 of a hundred. */
export function waits({ p50, p95 }) {
  return `${duration(p50)}, p95 ${duration(p95)}`;
}

/** Which share of the requests to a provider it answered with 429; empty where it did so with none. */
export function limitedShare(performance) {
  return performance?.rate_limited ? percent(performance.rate_limited, performance.requests) : "";
}

/** How fast a provider writes; empty where no stream says. */
export function speed({ tokens_per_second: rate }) {
  return rate === null ? "" : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens/s`;
}
