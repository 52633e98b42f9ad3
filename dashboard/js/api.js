/** The JSON API of the bridge. */

const BASE = new URL("api/v2/aibridge/", document.baseURI);
const SIGNED_OUT = "aibridge:signed-out";

/** An answer that is an error, or none at all (status 0). */
export class ApiError extends Error {
  constructor(status, message, { detail = "", validations = [] } = {}) {
    super(message);
    this.status = status;
    this.detail = detail;
    this.validations = validations;
  }
}

/** The address of a resource with its parameters; those without a value are left out. */
export function address(path, params = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

/** Get a resource. Throws ApiError; being aborted is thrown as it is. */
export function get(path, params, signal) {
  return ask(address(path, params), { signal });
}

/** Change something; `body` is an object of texts, or nothing. Throws ApiError. */
export function send(method, path, body) {
  const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return ask(address(path), { method, ...json });
}

/** Sign in with a `{token}`, or with the `{code}` of a link that signs in once. Throws ApiError. */
export function signIn(credential) {
  return send("POST", "users/me/session", credential);
}

/** Sign out. Throws ApiError. */
export async function signOut() {
  await send("DELETE", "users/me/session");
  dispatchEvent(new Event(SIGNED_OUT));
}

/** Why a stream of events is refused, in the server's words; null if it is not any more. */
export async function whyRefused(url) {
  const aborter = new AbortController();
  try {
    const response = await fetch(url, { signal: aborter.signal });
    return response.ok ? null : (await response.json()).message;
  } catch {
    return UNREACHABLE;
  } finally {
    aborter.abort();
  }
}

/** Call back when the session is over; returns what stops that. */
export function onSignedOut(callback) {
  addEventListener(SIGNED_OUT, callback);
  return () => removeEventListener(SIGNED_OUT, callback);
}

async function ask(url, options) {
  let response;
  let body;
  try {
    response = await fetch(url, options);
    body = response.status === 204 ? null : await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(response?.status ?? 0, response ? UNREADABLE : UNREACHABLE);
  }
  if (response.ok) return body;
  if (response.status === 401) dispatchEvent(new Event(SIGNED_OUT));
  throw new ApiError(response.status, body.message ?? UNREADABLE, body);
}

const UNREACHABLE = "The server cannot be reached. Is it running, and are you online?";
const UNREADABLE = "The server's answer could not be read. A proxy in between may have answered instead.";
