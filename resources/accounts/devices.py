"""Programs that get a token by their user's word in a browser (RFC 8628)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from resources.bodies import Body, Readers, one_of
from resources.fields import doc

MAX_CODE = 64
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
ANSWERS = ("allow", "deny")


class DeviceCode(Struct):
    """What a program is given (RFC 8628 section 3.2)."""

    device_code: Annotated[str, doc("The program requests its token with it, and keeps it secret.")]
    user_code: Annotated[str, doc("The code that the user enters.")]
    verification_uri: Annotated[str, doc("Where.")]
    verification_uri_complete: Annotated[str, doc("The same with the code in it.")]
    expires_in: Annotated[int, Meta(ge=1, description="The seconds for which both codes are valid.")]
    interval: Annotated[int, Meta(ge=1, description="The seconds that the program waits between two requests.")]


class DeviceToken(Struct):
    """The token of a program (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(ge=0, description="The seconds for which it is valid.")]


class DeviceError(Struct):
    """Why a program has no token (RFC 6749 section 5.2, RFC 8628 section 3.5)."""

    error: Literal[
        "authorization_pending",
        "slow_down",
        "access_denied",
        "expired_token",
        "invalid_request",
        "unsupported_grant_type",
        "temporarily_unavailable",
    ]
    error_description: str | UnsetType = UNSET


def _code(text: str) -> str:
    if not 0 < len(text) <= MAX_CODE:
        raise ValueError(f"must have 1 to {MAX_CODE} characters")
    return text


UserCode = Annotated[str, Meta(min_length=1, max_length=MAX_CODE, description="The code that the program shows.")]


class DeviceLookup(Body):
    """Which program shows a code."""

    readers: ClassVar[Readers] = {"user_code": _code}

    user_code: UserCode


class DeviceAnswer(Body):
    """Whether the program that shows a code may have a token."""

    readers: ClassVar[Readers] = {"user_code": _code, "answer": one_of(ANSWERS, f"must be {' or '.join(ANSWERS)}")}

    user_code: UserCode
    answer: Literal["allow", "deny"]
