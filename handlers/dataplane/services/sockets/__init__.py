"""OpenAI's responses and Realtime API over a WebSocket: one connection of a client is one connection to the provider.

`service` answers the handshake, `session` (`realtime`) relays messages between the two `hops`, and `call` records each
response like a call over HTTP: it is admitted and has a start before its request goes to the provider, and exactly one
end.
"""
