"""The options of every database connection, and the errors of a URI."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError, InvalidURI

from storage.mongo.errors import DatabaseUnavailableError, reason

OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "appname": "aibridge",
        "tz_aware": True,
        "uuidRepresentation": "standard",
        "w": "majority",
        "journal": True,
        "readPreference": "primary",
        "retryWrites": True,
        "serverSelectionTimeoutMS": 2_000,
        "connectTimeoutMS": 2_000,
        "socketTimeoutMS": 10_000,
    }
)
"""What every connection has, whatever its URI says: acknowledged means on disk, and an absent server is soon noticed."""


def open_client(uri: str) -> AsyncIOMotorClient[dict[str, Any]]:
    """Make a client; connections are opened when they are needed.

    Raises:
        DatabaseUnavailableError: The URI cannot be used. The text does not quote it: it may have a password.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # an option that is ignored
            return AsyncIOMotorClient(uri, **OPTIONS)
    except UserWarning as warning:
        problem = f"has an option that cannot be used: {str(warning).removesuffix(' Refer to docstring.')}"
    except (InvalidURI, ValueError):
        problem = (
            "is not valid: it looks like mongodb://user:password@host:27017/?option=value, with special characters in "
            "user and password percent-encoded"
        )
    except (ConfigurationError, OSError) as error:
        problem = f"cannot be used: {reason(error)}"
    raise DatabaseUnavailableError(f"mongodb-uri {problem}")
