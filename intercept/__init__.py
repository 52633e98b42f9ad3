"""What bytes mean. Pure: no I/O, no clock, no randomness, no logging.

Five words hold AI Bridge together:

- An **interception** is one recorded exchange between a client and an upstream.
- A **provider** is an upstream vendor instance, with its dialect, base URL and keys.
- The **relay** moves response bytes from upstream to client, unchanged and at once.
- A **reader** watches a copy of those bytes and works out tokens, tools, thoughts and the outcome.
- **Admission** decides, before anything costs money, whether a request may start.

This package knows interceptions (`records`) and readers (in `dialects`, listed in `catalog`).
"""
