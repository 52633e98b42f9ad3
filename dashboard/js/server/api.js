/** The JSON API of the bridge. */

const BASE = new URL("api/v2/aibridge/", document.baseURI);
const SIGNED_OUT = "aibridge:signed-out";
let loaded = 0;

/** A response that is an error, or none at all (status 0). */
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

/** When something was last loaded, in milliseconds since the epoch; 0 before that. */
export function loadedAt() {
  return loaded;
}

/** Get a resource; `onProgress` hears of one that takes long how far it is. Throws ApiError; an abort is thrown unchanged. */
export async function get(path, params, signal, onProgress = () => {}) {
  const found = await requestWithProgress(address(path, params), { signal }, onProgress);
  loaded = Date.now();
  return found;
}

/** Read lines of progress and return the result. Throws ApiError; an abort is thrown unchanged. */
export async function requestWithProgress(url, options, onProgress) {
  let failed = BROKEN_OFF;
  try {
    const response = await fetch(url, { ...options, headers: { ...options.headers, Accept: "application/x-ndjson, application/json" } });
    if (!response.headers.get("Content-Type")?.startsWith("application/x-ndjson")) return await read(response);
    for await (const line of lines(response)) {
      const { progress, result, error } = JSON.parse(line);
      if (error) throw new ApiError(response.status, error.message, error);
      if (result) return result;
      onProgress(progress);
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    failed = UNREACHABLE;
  }
  throw new ApiError(0, failed);
}

async function* lines(response) {
  let rest = "";
  for await (const piece of pieces(response)) {
    const found = (rest + piece).split("\n");
    rest = found.pop();
    yield* found;
  }
}

/** The text of a response as it arrives, piece by piece. */
export async function* pieces(response) {
  const stream = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let { done, value } = await stream.read(); !done; { done, value } = await stream.read()) yield value;
}

/** The heads of answers, which say their versions and what the server points out of a change. */
const heads = new WeakMap();

/**
 * Change something; `body` is an object, or nothing. With `before`, an answer of it, only where it is still as that says: where somebody
 * changed it meanwhile, the error has the status 412. Throws ApiError.
 */
export function send(method, path, body, before) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(before && { "If-Match": heads.get(before).get("ETag") }) };
  return request(address(path), { method, headers, body: body && JSON.stringify(body) });
}

/** What the server points out of a change, by its answer; null where it is nothing. */
export function noteOf(answer) {
  return heads.get(answer)?.get("X-AI-Bridge-Note");
}

/** Send a body and have the browser keep the answer as a file of this name. Throws ApiError. */
export async function sendForFile(path, body, name) {
  const file = await send("POST", path, body);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Sign in with a `{token}`, or with the `{code}` of a link that signs in once. Throws ApiError. */
export function signIn(credential) {
  return send("POST", "users/me/session", credential);
}

/** Sign out. Throws ApiError. */
export async function signOut() {
  let there = null; // where the provider of single sign-on ends its own session
  await request(address("users/me/session"), { method: "DELETE" }, ({ headers }) => {
    there = headers.get("X-AI-Bridge-Sign-Out");
  });
  if (there) location.assign(there);
  else dispatchEvent(new Event(SIGNED_OUT));
}

/** Call back when the session is over; returns what stops that. */
export function onSignedOut(callback) {
  addEventListener(SIGNED_OUT, callback);
  return () => removeEventListener(SIGNED_OUT, callback);
}

async function request(url, options, onResponse = () => {}) {
  let response;
  try {
    response = await fetch(url, options);
    onResponse(response);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, UNREACHABLE);
  }
  return read(response);
}

async function read(response) {
  let body;
  try {
    const isFile = response.headers.get("Content-Type")?.startsWith("text/csv");
    body = response.status === 204 ? null : await (isFile ? response.blob() : response.json());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(response.status, UNREADABLE);
  }
  if (body instanceof Object) heads.set(body, response.headers);
  if (response.ok) return body;
  if (response.status === 401) dispatchEvent(new Event(SIGNED_OUT));
  throw new ApiError(response.status, body.message ?? UNREADABLE, body);
}

const UNREACHABLE = "The server cannot be reached. Is it running, and are you online?";
const BROKEN_OFF = "The response was broken off. Try again.";
const UNREADABLE = "The response of the server could not be read. It may be that of a proxy in between.";
