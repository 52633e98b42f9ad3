/** How a provider fares, in words. Pure. */

import { duration, percent } from "../../text/format.js";

/** Half of all waits, and 95 of a hundred. */
export function waits({ p50, p95 }) {
  return `${duration(p50)}, p95 ${duration(p95)}`;
}

/** Which share of the requests to a provider it answered with 429; empty where it did so with none. */
export function limitedShare(of) {
  return of.rate_limited ? percent(of.rate_limited, of.requests) : "";
}

/** How fast half of all streams are at least. */
export function speed({ p50: rate }) {
  return `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens/s`;
}
