"""Sign-in at an OpenID provider: the relying party's half of the authorization code flow.

Sources: OpenID Connect Core 1.0, OpenID Connect Discovery 1.0, RFC 6749 (OAuth 2.0), RFC 7636 (PKCE), RFC 9207 (the
issuer in the response) and RFC 9700 (best practice). `documents`, `id_tokens`, `flows` and `profiles` are pure;
`provider` asks.
"""
