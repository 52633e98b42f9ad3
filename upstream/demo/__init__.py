"""A built-in provider for a first run without any key: a real HTTP server on loopback that speaks all three APIs.

No model is behind it. Any model name gets a short text that says what the reader is looking at and quotes
the prompt. What a request can do to see more:

- name an offered tool in the prompt: the response calls it, with arguments made up from its schema; every tool named is
  called, in parallel. Sending the result leads to a closing text;
- ask for thinking (messages) or for a reasoning summary (responses): a thought comes first;
- use the model `demo-error` to see a failure: it is refused, with 500 (OpenAI) or 529 (Anthropic).

Tokens are counted as a quarter of the characters; half of the input counts as read from a cache.
"""

from upstream.demo.provider import DemoProvider

__all__ = ["DemoProvider"]
