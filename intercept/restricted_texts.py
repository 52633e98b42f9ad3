"""Applies to a record what a policy says is kept of its texts. Pure.

Nothing of a restricted text may be written down before it was looked through. So a start is recorded without it, and the
end brings what is kept.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final, NamedTuple

from msgspec.structs import replace

from intercept.dialects.drafts import MAX_ERROR_MESSAGE
from intercept.recording import Keep, Recording
from intercept.records import (
    Conversation,
    Ending,
    ModelResponse,
    ModelThought,
    ProviderError,
    Reading,
    StartRecord,
    ToolUsage,
    UserPrompt,
)
from intercept.secrets import MAX_TEXT, redact

MAX_CALL: Final = 1024 * 1024
"""Characters of all texts of a call that are redacted; of further texts nothing is kept."""

MAX_SPLIT: Final = 256
"""Characters that are dropped before the end of a text that was cut: what is to be redacted may be split there, and is
then not recognised."""

HASH: Final = "hmac-sha256:"
"""What a hashed text begins with; 64 hexadecimal digits follow."""

_HASH_KEY: Final = b"aibridge hashes of recorded texts"
_KEY_BYTES: Final = 16


class _Kept(NamedTuple):
    text: str
    kept: Keep
    is_cut: bool = False


class Texts:
    """Makes of texts what is kept of them.

    Args:
        secret: What hashes are keyed with; without it, nothing is kept where a hash would be.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._key = hmac.digest(secret, _HASH_KEY, sha256) if secret else b""

    def start(self, interception: StartRecord) -> StartRecord:
        """Return a start as it may be recorded at once: without what is not kept, or is to be looked through first."""
        recording = interception.recording
        if recording is None or recording.prompts is Keep.FULL:
            return interception
        bare = without_restricted_texts(interception)
        return replace(bare, conversation=self._conversation(interception.conversation))

    def ended(self, interception: StartRecord, ending: Ending) -> tuple[StartRecord, Ending]:
        """Return the start and the end with what is kept of their texts. That may take long.

        Raises:
            InvalidPatternError: A pattern of the policy cannot be read.
        """
        recording = interception.recording
        if recording is None:
            return interception, ending
        once = _Once(self, recording, MAX_CALL)
        prompt = interception.user_prompt
        if prompt is not None:
            prompt = once.prompt(prompt)
        return replace(self.start(interception), user_prompt=prompt), once.ending(ending)

    def digest(self, text: str) -> str:
        """Return the hash of a text; empty without a secret. Equal texts have the same on all servers with the secret."""
        return HASH + hmac.digest(self._key, text.encode(errors="surrogatepass"), sha256).hex() if self._key else ""

    def _conversation(self, conversation: Conversation | None) -> Conversation | None:
        """The position in a conversation, so that who knows a message cannot try whether it is this one."""
        if conversation is None or not self._key:
            return None
        return Conversation(key=self._keyed(conversation.key), continues=self._keyed(conversation.continues))

    def _keyed(self, digest: bytes | None) -> bytes | None:
        return None if digest is None else hmac.digest(self._key, digest, sha256)[:_KEY_BYTES]


class _Once:
    """The texts of one call, of which `left` characters are looked at; without any, restricted texts are dropped."""

    def __init__(self, texts: Texts, recording: Recording, left: int) -> None:
        self._texts = texts
        self._recording = recording
        self._left = left

    def prompt(self, prompt: UserPrompt) -> UserPrompt:
        """What is kept of a prompt."""
        kept = self._keep(prompt.prompt, self._recording.prompts, is_cut=prompt.truncated)
        return replace(prompt, prompt=kept.text, kept=kept.kept, truncated=prompt.truncated or kept.is_cut)

    def ending(self, ending: Ending) -> Ending:
        """The end with what is kept of its texts."""
        reading: Reading = replace(
            ending.reading,
            tool_usages=tuple(map(self.tool_usage, ending.reading.tool_usages)),
            model_thoughts=tuple(map(self.thought, ending.reading.model_thoughts)),
            error=self.error(ending.reading.error),
            response=self.response(ending.reading.response),
        )
        tries = tuple(replace(one, error=self.error(one.error)) for one in ending.tries)
        return replace(ending, reading=reading, error=self.error(ending.error), tries=tries)

    def tool_usage(self, usage: ToolUsage) -> ToolUsage:
        """What is kept of a tool call."""
        kept = self._keep(usage.input, self._recording.tool_inputs, is_cut=usage.truncated)
        error = usage.invocation_error
        if error is not None:
            error = self._keep(error, self._recording.error_messages).text
        truncated = usage.truncated or kept.is_cut
        return replace(usage, input=kept.text, kept=kept.kept, truncated=truncated, invocation_error=error)

    def thought(self, thought: ModelThought) -> ModelThought:
        """What is kept of a thought."""
        kept = self._keep(thought.content, self._recording.thoughts, is_cut=thought.truncated)
        return replace(thought, content=kept.text, kept=kept.kept, truncated=thought.truncated or kept.is_cut)

    def response(self, response: ModelResponse | None) -> ModelResponse | None:
        """What is kept of the text of a response."""
        if response is None:
            return None
        kept = self._keep(response.text, self._recording.response_text, is_cut=response.truncated)
        return replace(response, text=kept.text, kept=kept.kept, truncated=response.truncated or kept.is_cut)

    def error(self, error: ProviderError | None) -> ProviderError | None:
        """What is kept of an error."""
        if error is None:
            return None
        is_cut = len(error.message) >= MAX_ERROR_MESSAGE
        kept = self._keep(error.message, self._recording.error_messages, is_cut=is_cut)
        return ProviderError(type=error.type, message=kept.text)

    def _keep(self, text: str, keep: Keep, *, is_cut: bool = False) -> _Kept:
        """What is kept of a text, whose end may be missing already."""
        match keep:
            case Keep.FULL:
                return _Kept(text, keep)
            case Keep.HASHED if text and (digest := self._texts.digest(text)):
                return _Kept(digest, keep)
            case Keep.REDACTED:
                size = min(len(text), MAX_TEXT, self._left)
                self._left -= size
                redacted = redact(text[:size], self._recording.patterns)
                if is_cut or size < len(text):
                    left = redacted[:-MAX_SPLIT]
                    return _Kept(left, keep if left else Keep.NONE, is_cut=True)
                return _Kept(redacted, keep)
            case _:  # one that was to be hashed is dropped without a secret
                return _Kept("", Keep.NONE, is_cut=keep is Keep.HASHED and bool(text))


def without_restricted_texts(interception: StartRecord) -> StartRecord:
    """Return a start without its prompt and the digests of what was sent, unless that is kept in full."""
    recording, prompt = interception.recording, interception.user_prompt
    if recording is None or recording.prompts is Keep.FULL:
        return interception
    if prompt is not None:
        prompt = _Once(Texts(), recording, 0).prompt(prompt)
    return replace(interception, user_prompt=prompt, conversation=None, blocks=None)


def without_restricted_words(recording: Recording | None, ending: Ending) -> Ending:
    """Return an end without every text that is not kept in full."""
    if recording is None:
        return ending
    return _Once(Texts(), recording, 0).ending(ending)
