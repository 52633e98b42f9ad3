/** Requests what proposed limits would have refused. */

import { address, requestWithProgress } from "../../server/api.js";

/**
 * Resolves to the result. Throws ApiError; being aborted is thrown as it is.
 *
 * @param {Object} body as of `POST /limits/what-if`.
 * @param {(share: number) => void} onProgress is called with how much of the time range is done.
 * @param {AbortSignal} signal
 */
export function tryLimits(body, onProgress, signal) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
  return requestWithProgress(address("limits/what-if"), options, ({ share }) => onProgress(share));
}
