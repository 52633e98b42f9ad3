"""`GET /api/v2/aibridge/desk/files`: the files that manage agents which do not sign in at the bridge."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final

from msgspec import Struct

from handlers.api.policies import store_of
from handlers.operations.operation import AUDITORS, Ask, operation
from handlers.operations.query import INVALID, Query
from handlers.problems import ValidationProblem
from limits.policies.agent_files import FilesOf, files_of
from limits.policies.compiled import CompiledPolicy, Level
from resources.bodies import Readers
from resources.fields import doc

_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?")

NO_ADDRESS: Final = "must be the address of the bridge, such as https://bridge.example"


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(NO_ADDRESS)
    return text.rstrip("/")


def _provider(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]*", text):
        raise ValueError("must be the name of a provider")
    return text


class DeskFilesQuery(Query, frozen=True):
    """Which files."""

    readers: ClassVar[Readers] = {"address": _address, "provider": _provider}

    client: Annotated[FilesOf, doc("The agent that they manage.")] = FilesOf.CODEX
    address: Annotated[str, doc("The address of the bridge, if clients reach it by another one.")] = ""
    group: Annotated[str, doc("The group whose members they are for, besides what everyone's policy says.")] = ""
    provider: Annotated[str, doc("The provider at the bridge; `openai` without it, and `gemini` for Gemini CLI.")] = ""


class DeskFile(Struct):
    """A file."""

    path: Annotated[str, doc("Where it belongs on a machine with Linux.")]
    about: Annotated[str, doc("What is to be known of it.")]
    content: str


class DeskFiles(Struct):
    """The files of an agent."""

    results: list[DeskFile]


@operation("GET", "desk/files", AUDITORS, tag="policies", raises={404: "There is no such group."})
async def get_desk_files(ask: Ask, query: DeskFilesQuery) -> DeskFiles:
    """Make the files that manage an agent.

    Of the policies of everyone and of a group: where the bridge is, the first model that they allow by its whole name, and
    of `managed_settings` the telemetry, and whether approval may be left out.
    """
    address = query.address or ask.origin
    if not _ADDRESS.fullmatch(address):
        raise ValidationProblem(INVALID, validations=[("address", NO_ADDRESS)])
    store = store_of(ask.bridge)
    kept = [await store.get(Level.EVERYONE), *([await store.get(Level.GROUP, query.group)] if query.group else [])]
    policies = [CompiledPolicy(one.source, one.policy) for one in kept]
    files = files_of(query.client, policies, address, query.provider)
    return DeskFiles([DeskFile(*one) for one in files])
