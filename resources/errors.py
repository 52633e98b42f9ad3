"""Errors of the control plane. Those of the data plane are worded by each dialect, in `intercept.dialects`."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class Validation(Struct):
    """One thing that is wrong with a request, and where."""

    field: str
    detail: str


class Error(Struct):
    """Why a request failed."""

    message: str
    detail: str | UnsetType = UNSET
    validations: list[Validation] | UnsetType = UNSET
