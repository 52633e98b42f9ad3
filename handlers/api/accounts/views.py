"""`/api/v2/aibridge/views`: views of the dashboard under a name, one's own and shared ones."""

from __future__ import annotations

from msgspec import UNSET

from handlers.api.accounts.changes import ChangeHandler, id_of
from handlers.api.choices import choice, refuse
from handlers.api.pagination import parse_page
from handlers.problems import Problem
from resources.accounts.views import NewView, SavedView, ViewChange
from resources.fields import ListPage
from resources.ranges import Problems
from storage.accounts.views.documents import Page, View
from storage.accounts.views.views import UNKNOWN, NotYourViewError, Views

NOT_YOURS_TO_CHANGE = "Only the user who saved a view and owners may change it."


class _ViewHandler(ChangeHandler):
    @property
    def _views(self) -> Views:
        return Views(self.bridge.database, self.bridge.identities, now=self.bridge.now)

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say also whose view it is not."""
        return Problem(403, NOT_YOURS_TO_CHANGE) if isinstance(error, NotYourViewError) else super().problem_of(error)

    async def show(self, view: View, status: int = 200) -> None:
        """Respond with a view and its version as `ETag`."""
        users = await self._views.owners([view])
        self.write_json(SavedView.of(view, users), status, version=view.version)


class ViewsHandler(_ViewHandler):
    """All views that the caller sees."""

    async def get(self) -> None:
        """Respond with `{"count": n, "results": [..]}`, by name."""
        await self.identify()
        values = self.parameters("limit", "offset", "page")
        problems: Problems = []
        rows, page = parse_page(values), choice(Page, "page", values, problems)
        refuse(problems)
        count, views = await self._views.page(self.identity.user, page=page, limit=rows.limit, offset=rows.offset)
        users = await self._views.owners(views)
        self.write_json(ListPage(count, [SavedView.of(view, users) for view in views]))

    async def post(self) -> None:
        """Save one: 201."""
        await self.identify(fresh=True)
        body = self.read_body(NewView)
        view = await self._views.add(
            self.author,
            name=body.name,
            page=body.page,
            query={} if body.query is UNSET else body.query,
            shared=body.shared is True,
        )
        self.set_header("Location", f"{self.request.path}/{view.id}")
        await self.show(view, 201)


class ViewHandler(_ViewHandler):
    """One view."""

    async def get(self, id_: str) -> None:
        """Send it, with its version as `ETag`."""
        await self.identify()
        self.parameters()
        view = await self._views.find(id_of(id_, UNKNOWN), self.identity.user)
        await self.show(view)

    async def patch(self, id_: str) -> None:
        """Change the given fields; respond with the result."""
        await self.identify(fresh=True)
        changes = self.read_body(ViewChange).changes
        view = await self._views.change(id_of(id_, UNKNOWN), changes, versions=self.versions, author=self.author)
        await self.show(view)

    async def delete(self, id_: str) -> None:
        """Remove it: 204."""
        await self.identify(fresh=True)
        await self._views.remove(id_of(id_, UNKNOWN), versions=self.versions, author=self.author)
        self.set_status(204)
