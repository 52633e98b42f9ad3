"""Whether the demo company is there. Owners fill it in and remove it.

Owners read it below `/demo-company/`: there is the page, and the resources of the API that are read, each as the company's
own auditor sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Self

from msgspec import Meta, Struct, structs

from handlers.operations.operation import OWNERS, Ask, operation
from handlers.problems import Problem, sentence
from resources.fields import Count, doc, of_fields
from storage.demo.store import Demo, DemoState
from storage.mongo.errors import DatabaseRefusalError


class DemoCompany(Struct, kw_only=True):
    """The demo company."""

    state: Annotated[DemoState, doc("`none` if it does not exist, `filling` while a server or a command fills it in.")]
    calls: Annotated[Count, doc("The number of its calls that are recorded.")]
    progress: Annotated[float, Meta(ge=0, le=1, description="The progress of filling.")]

    @classmethod
    def of(cls, demo: Demo) -> Self:
        """Show it."""
        return of_fields(cls, structs.asdict(demo), progress=round(demo.progress, 3))


REFUSED = "{}. The bridge needs the role readWrite on that database too; its name is that of its own with -demo behind."


@contextmanager
def _other_database() -> Iterator[None]:
    """Say that the bridge may not write to the other database.

    Raises:
        Problem: 409.
    """
    try:
        yield
    except DatabaseRefusalError as error:
        raise Problem(409, REFUSED.format(sentence(str(error)).rstrip("."))) from error


@operation("GET", "demo-company", tag="demo company", in_demo=False, raises={409: "MongoDB refuses to."})
async def get_demo_company(ask: Ask) -> DemoCompany:
    """Read whether there is a demo company.

    It is in a database of its own. Owners see it at `/demo-company/`, and read it below `/demo-company/api/v2/aibridge/`.
    """
    with _other_database():
        return DemoCompany.of(await ask.bridge.demo.store.read())


@operation(
    "POST",
    "demo-company",
    OWNERS,
    status=202,
    tag="demo company",
    raises={409: "It is being filled in, or MongoDB refuses to."},
)
async def fill_demo_company(ask: Ask) -> DemoCompany:
    """Fill in the demo company.

    Two months of calls of 25 people, up to now, in the place of those that are there. It takes about half a minute.
    """
    with _other_database():
        demo = await ask.bridge.demo.store.begin(author=ask.author)
    ask.bridge.demo.fill(demo)
    return DemoCompany.of(demo)


@operation(
    "DELETE",
    "demo-company",
    OWNERS,
    tag="demo company",
    raises={404: "There is none.", 409: "MongoDB refuses to."},
)
async def remove_demo_company(ask: Ask) -> DemoCompany:
    """Remove the demo company.

    All of its database, also while it is being filled in.
    """
    with _other_database():
        await ask.bridge.demo.store.remove(author=ask.author)
    return DemoCompany.of(Demo())
