"""Forms with files, sent to the provider while they arrive: what is read from one, and when sending may start."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Collection
from enum import Enum, auto

from handlers.problems import Problem, body_too_large
from intercept.apis import FORM_FIELDS, FURTHER_MODELS, InvalidRequestError
from intercept.formats.form_data import NO_END, FormFields
from intercept.refusals import Rule
from upstream.body_stream import BodyStream

MODEL_BEHIND_FILE = "The form has its model behind a file, and is larger than {} bytes. Put the field model first."
OTHER_BEHIND_FILE = "The form has the field {} behind a file. Put it before the files."
# The time limits of a whole form, and of its next piece.
WHOLE_SECONDS = 3600.0
PIECE_SECONDS = 60.0


class Stage(Enum):
    """Where a form is."""

    HELD = auto()
    """Its model is waited for."""
    READY = auto()
    """It may go to the provider."""
    GOING = auto()
    """Its request is being served, while it arrives."""


class IncomingForm:
    """A form that arrives.

    Args:
        content_type: Of the request.
        length: Of the body; None if the client does not say.
        reads_fields: Whether fields are read from it.
        needs_model: Whether sending waits for the field with the model.
        max_bytes: See there.
        max_held_bytes: The most that is buffered while it waits for the model.

    Attributes:
        max_bytes: The largest form.
        stream: Its bytes, on their way to the provider.
        stage: Where it is.
    """

    def __init__(
        self,
        content_type: str,
        length: int | None,
        *,
        reads_fields: bool,
        needs_model: bool,
        max_bytes: int,
        max_held_bytes: int,
    ) -> None:
        self.max_bytes = max_bytes
        self.stream = BodyStream(length)
        self.stage = Stage.HELD if reads_fields else Stage.READY
        self._content_type = content_type
        self._needs_model = needs_model
        self._reads_fields = reads_fields
        self._fields: FormFields | None = None
        self._max_held_bytes = max_held_bytes
        self._bytes = 0
        self._allowed: Collection[str] | None = None

    @property
    def found(self) -> dict[str, str]:
        """The fields that it has so far."""
        return {} if self._fields is None else self._fields.found

    def feed(self, piece: bytes) -> Future[None] | None:
        """Take a piece; return what to wait for before the next one, None if it may come.

        Raises:
            Problem: 400 or 413, it cannot be sent.
        """
        self._bytes += len(piece)
        if self._bytes > self.max_bytes:
            raise body_too_large(self.max_bytes)
        if self._reads_fields:
            self._read(piece)
        self.stream.feed(piece)
        if self.stage is not Stage.HELD:
            return self.stream.wait_for_room()
        if self.stream.held_bytes > self._max_held_bytes:
            message = MODEL_BEHIND_FILE.format(self._max_held_bytes)
            raise Problem(413, message, rule=Rule.BODY_TOO_LARGE)
        return None

    def allow_models(self, names: Collection[str]) -> None:
        """Have it name none but these models from now on: policies are not asked again.

        Raises:
            Problem: 400, it names another one already, or will.
        """
        self._allowed = names
        for field in FURTHER_MODELS:
            if self.found.get(field, "") not in ("", *names):
                raise InvalidRequestError(OTHER_BEHIND_FILE.format(field))

    def end(self) -> None:
        """Note that all of it has arrived.

        Raises:
            Problem: 400, it is no whole form.
        """
        if self._reads_fields and (self._fields is None or not self._fields.has_ended):
            raise InvalidRequestError(NO_END)
        self.stream.end()

    def _read(self, piece: bytes) -> None:
        if self._fields is None:
            self._fields = FormFields(self._content_type, FORM_FIELDS)
        self._fields.feed(piece)
        if self._allowed is not None:
            self.allow_models(self._allowed)
        has_model = not self._needs_model or "model" in self._fields.found
        if self.stage is Stage.HELD and has_model and self._fields.in_file:
            self.stage = Stage.READY
