/** Asks what proposed limits would have refused. */

import { address, ApiError } from "./api.js";

/**
 * Resolves to the result. Throws ApiError; being aborted is thrown as it is.
 *
 * @param {Object} body as of `POST /limits/what-if`.
 * @param {(share: number) => void} onProgress is told how much of the time range is done.
 * @param {AbortSignal} signal
 */
export async function ask(body, onProgress, signal) {
  const headers = { "Content-Type": "application/json", Accept: "application/x-ndjson" };
  const response = await fetch(address("limits/what-if"), { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!response.ok) {
    const failure = await response.json();
    throw new ApiError(response.status, failure.message, failure);
  }
  for await (const line of lines(response)) {
    const { progress, result } = JSON.parse(line);
    if (result) return result;
    onProgress(progress.share);
  }
  throw new ApiError(0, "The answer was broken off. Try again.");
}

async function* lines(response) {
  const stream = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let { done, value } = await stream.read(); !done; { done, value } = await stream.read()) {
    const found = (rest + value).split("\n");
    rest = found.pop();
    yield* found;
  }
}
