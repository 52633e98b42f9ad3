/** Why the bridge refuses calls, for people. Pure. */

const RULES = {
  concurrency: ["At capacity", "All slots of max-concurrency were taken."],
  rate: ["Token rate limited", "The token reached rate-limit."],
  user_rate: ["User rate limited", "All tokens of the user together reached user-rate-limit."],
  user_concurrency: ["User at capacity", "The user had user-max-concurrency calls in progress."],
  user_tokens: ["User out of tokens", "The user used user-token-limit tokens within the window."],
  user_budget: ["Budget used up", "The user's calls cost user-budget-usd in this period."],
  policy_concurrency: ["Policy: at capacity", "A policy allows no more calls in progress."],
  policy_rate: ["Policy: rate limited", "A policy allows no more calls within its window."],
  policy_tokens: ["Policy: out of tokens", "A policy allows no more tokens within its window."],
  policy_budget: ["Policy: budget used up", "The budget of a policy is used up in this period."],
  model_not_allowed: ["Model not allowed", "A policy does not allow the model."],
  too_many_tokens: ["Too many tokens asked for", "The request asked for more tokens than a policy allows."],
  stopping: ["Server stopping", "The server was being stopped."],
  no_token: ["No token", "No token was sent."],
  invalid_token: ["Invalid token", "The token is unknown, expired or revoked."],
  provider_key_as_token: ["Provider's key as token", "A provider's key was sent in the place of a token."],
  too_many_failures: ["Too many invalid tokens", "The address sent too many invalid tokens (authentication-failure-limit)."],
  tokens_unverifiable: ["Tokens not verifiable", "The database could not be reached to verify the token."],
  token_in_address: ["Token in the address", "The address had a token in it; tokens belong in a header."],
  own_key_not_allowed: ["Own key not allowed", "The client sent its own key, and allow-byok is off or a policy denies it."],
  own_key_needed: ["Own key needed", "The route is only for clients that send their own key."],
  no_provider_key: ["No provider key", "The bridge has no key for the provider."],
  unknown_provider: ["Unknown provider", "There is no provider with this name."],
  provider_unavailable: ["Provider unavailable", "The provider is disabled, or its keys cannot be opened."],
  unknown_route: ["Unknown route", "The provider has no such route."],
  wrong_base_url: ["Wrong base URL", "The base URL of the client is wrong; the response named the right one."],
  odd_path: ["Odd path", "The path could mean another one to the provider."],
  wrong_method: ["Wrong method", "The route is not served with this method."],
  websocket: ["WebSocket", "WebSocket is not supported."],
  not_your_response: ["Not the user's response", "No stored response of the user has this id."],
  invalid_tags: ["Invalid tags", "The header X-AIBridge-Tags could not be read."],
  body_too_large: ["Body too large", "The body was larger than max-body-bytes, or than the route takes."],
  compressed_body: ["Compressed body", "The body was compressed in a way that is not supported."],
  unusable_body: ["Invalid body", "The body could not be read."],
  not_recordable: ["Not recordable", "The call could not be recorded, so it was not made."],
  database_unavailable: ["Database unavailable", "The database could not be reached to see whose response it is."],
  malformed_request: ["Malformed request", "The request was not valid HTTP."],
  head_too_large: ["Head too large", "The request had too many or too large headers."],
  unsupported_coding: ["Unsupported coding", "The request had another transfer coding than chunked."],
  unsupported_version: ["Unsupported version", "The request was neither HTTP/1.1 nor HTTP/1.0."],
  late_head: ["Late head", "The head of the request did not arrive in time."],
  late_body: ["Late body", "The body of the request did not arrive in time."],
};

/** Every rule with its title, in the order of the API's documents. */
export const TITLES = Object.entries(RULES).map(([rule, [title]]) => [rule, title]);

/** What a rule is called; one that is not known here is called as the API does. */
export function titleOf(rule) {
  return RULES[rule]?.[0] ?? rule.replaceAll("_", " ");
}

/** What a rule means; empty for one that is not known here. */
export function reasonOf(rule) {
  return RULES[rule]?.[1] ?? "";
}
