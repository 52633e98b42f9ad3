"""Where users are signed in to the dashboard, and how to end that."""

from __future__ import annotations

from typing import Annotated

from handlers.api.accounts.tokens import UserOrMe
from handlers.operations.operation import AUDITORS, OWNERS, Ask, operation
from handlers.operations.query import Paged
from resources.accounts.sign_ins import ListedSession
from resources.fields import ListPage, doc


@operation("GET", "users/{name}/sessions", AUDITORS, own=True)
async def list_sign_ins(ask: Ask, name: UserOrMe, query: Paged) -> ListPage[ListedSession]:
    """List the sessions of a user.

    The last used session first.
    """
    count, sessions = await ask.bridge.sign_ins.page(name, limit=query.limit, offset=query.offset)
    return ListPage(
        count, [ListedSession.extending(one, current=one.id == ask.identity.session_id) for one in sessions]
    )


@operation("DELETE", "users/{name}/sessions/{id}", OWNERS, own=True)
async def end_sign_in(ask: Ask, name: UserOrMe, id_: Annotated[str, doc("The id of the session.")]) -> None:
    """End a session of a user.

    The cookie stops working within seconds on every server.
    """
    await ask.bridge.sign_ins.end(id_, of=name, author=ask.author)
