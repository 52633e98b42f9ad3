"""What a caller may see, and the users in a search: shared by the resources of recorded calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from msgspec import Meta
from msgspec.structs import replace

from handlers.operations.operation import Ask
from handlers.operations.problems import INVALID_SEARCH
from handlers.problems import Problem, ValidationProblem
from intercept.secrets import scrub_quoted
from resources.recorded.interceptions import Interception, has_texts, session_without_texts, without_texts
from resources.recorded.sessions import Session
from storage.accounts.events import Way
from storage.accounts.users import User, is_same_name, read_id
from storage.queries.filters.search_language import SEARCH_KEYS, Search, parse_search
from storage.queries.sessions import call_search, session_filter
from storage.search.find import CallQuery, is_indexed

WORDS_OF_ENDED = (
    "words search the texts of calls that have ended; they cannot stand beside request_id and status:in_flight"
)
NOT_FOR_READERS = (
    "Readers see no texts, and cannot search them: words without a key do that. Use keys, such as user:ada."
)
CREDENTIAL_AS_WORD = "looks like a token or a key, which must not stand in an address; POST /api/v2/aibridge/tokens/lookup tells whose a token is"
TOKEN_IN_ADDRESS = "is the id of a token, the part before its hyphen, or its name; never the token itself"  # noqa: S105 - a sentence
ME = "me"


SearchText = Annotated[
    str,
    Meta(
        description="A search: words separated by spaces. `key:value`, `key:a,b` for one of several values, `-key:value` for "
        "what is not so; values with a space, a comma or a colon in double quotes. Words without a key are searched for in "
        "prompts, inputs of tools, thoughts, responses and errors; those in double quotes have to follow one another, and "
        f"`-word` leaves calls out. Keys are {', '.join(SEARCH_KEYS)}.",
        examples=['user:me model:claude-sonnet-4-5 started_after:"2026-01-01T00:00:00Z"'],
    ),
]


class SessionSearch(NamedTuple):
    """A search for sessions: its filter, and whether it finds all."""

    conditions: dict[str, Any]
    is_exact: bool = True


class Sight:
    """What a caller sees of calls and sessions: owners and auditors all of it, readers all without texts, members their own.

    Only this class decides that.

    Args:
        ask: Who asks.
        way: How the caller reads calls of others, for the audit trail.
        detail: What else that says.
    """

    def __init__(self, ask: Ask, way: Way = Way.LIST, detail: tuple[tuple[str, str], ...] = ()) -> None:
        self._ask = ask
        self._way = way
        self._detail = detail

    @property
    def shows_texts(self) -> bool:
        """Whether the caller may read prompts, inputs of tools, thoughts and errors."""
        return self._ask.user.role.reads_texts

    def resource_of(self, document: Mapping[str, Any], users: Mapping[UUID, User]) -> Interception:
        """The resource of a call, with what the caller may see of it."""
        if not self.shows_texts:
            return Interception.of(without_texts(document), users)
        if has_texts(document):
            self.note_read(document["initiator_id"], users)
        return Interception.of(document, users)

    def session_resource_of(self, document: Mapping[str, Any], users: Mapping[UUID, User]) -> Session:
        """The resource of a session, with what the caller may see of it."""
        if not self.shows_texts:
            return Session.of(session_without_texts(document), users)
        if document["last_prompt"]:
            self.note_read(document["initiator_id"], users)
        return Session.of(document, users)

    def note_read(self, initiator_id: UUID, users: Mapping[UUID, User]) -> None:
        """Record in the audit trail that the caller reads texts of another user. Returns at once."""
        if initiator_id == self._ask.user.id or self._ask.is_head:
            return
        user = users.get(initiator_id)
        subject = initiator_id, user.username if user else ""
        self._ask.bridge.access.read(self._way, self._ask.client_ip, self._ask.identity, subject, *self._detail)

    async def query(self, q: str) -> CallQuery:
        """The query of a search for interceptions. A search for words leaves an audit entry.

        Args:
            q: The search, see `storage.queries.filters.search_language`.

        Raises:
            Problem: 403, it has words, and the caller may not read texts.
            InvalidSearchError: it cannot be understood.
            ValidationProblem: its user is nobody that the caller may see.
        """
        asked = parse_search(q, now=self._ask.bridge.now())
        search = await self.resolved(asked)
        if search.texts is not None:
            if not is_indexed(search):
                raise ValidationProblem(INVALID_SEARCH, validations=[("q", WORDS_OF_ENDED)])
            if scrub_quoted(q) != q:
                raise ValidationProblem(INVALID_SEARCH, validations=[("q", CREDENTIAL_AS_WORD)])
            if not self.shows_texts:
                raise Problem(403, NOT_FOR_READERS)
            initiator_id, me = search.only("user"), self._ask.user
            if me.role.sees_everyone and initiator_id != me.id:
                subject = None if initiator_id is None else (initiator_id, asked.only("user") or "")
                self._ask.bridge.access.searched(self._ask.client_ip, self._ask.identity, subject)
        return CallQuery(search, search.filter(), self._ask.visible_to, self._ask.user.id)

    async def session_search(self, q: str) -> SessionSearch:
        """The filter of a search for sessions. The search index answers what it asks of calls.

        Raises:
            Problem: 403, it has words, and the caller may not read texts.
            InvalidSearchError: it cannot be understood.
            ValidationProblem: its user is nobody that the caller may see.
        """
        query = await self.query(q)
        conditions = session_filter(query.search)
        if (calls := call_search(query.search)) is None:
            return SessionSearch(conditions)
        of_calls = query._replace(search=calls, conditions=calls.filter())
        found = await self._ask.bridge.search.sessions(of_calls)
        return SessionSearch({**conditions, "_id": {"$in": found.ids}}, found.is_exact)

    async def resolved(self, search: Search) -> Search:
        """Return the search with ids instead of names of users, groups and tokens.

        Raises:
            ValidationProblem: there is none of that name that the caller may see.
        """
        finders = {"user": self._user, "group": self._group, "token": self._token}
        terms = [
            term.found([await finders[term.key](text) for text in term.values]) if term.key in finders else term
            for term in search.terms
        ]
        return replace(search, terms=tuple(terms))

    async def _user(self, name: str) -> UUID:
        me = self._ask.user
        user_id = read_id(name)
        if user_id == me.id or name == ME or is_same_name(name, me.username):
            return me.id
        if me.role.sees_everyone:
            if user_id is not None:
                return user_id
            user = await self._ask.bridge.identities.find_initiator(name)
            if user is not None:
                return user.id
        raise _unknown("user", f'user "{name}"')

    async def _group(self, name: str) -> UUID:
        me = self._ask.user
        group = await self._ask.bridge.groups.find(name)
        if group is None and me.role.sees_everyone:
            group = await self._ask.bridge.groups.find(name, removed=True)
        if group is None or not (group.id in me.group_ids or me.role.sees_everyone):
            raise _unknown("group", f'group "{name}"')
        return group.id

    async def _token(self, name: str) -> str:
        """The id of a token by that or its name, which must be of one token only."""
        if scrub_quoted(name) != name:
            raise ValidationProblem(INVALID_SEARCH, validations=[("token", TOKEN_IN_ADDRESS)])
        found = await self._ask.bridge.tokens.named(name, of=self._ask.visible_to)
        if len(found) > 1:
            detail = f'{len(found)} tokens are named "{name}"; give the id of one: {", ".join(found)}'
            raise ValidationProblem(INVALID_SEARCH, validations=[("token", detail)])
        if not found:
            raise _unknown("token", f'token "{name}"')
        return found[0]


def _unknown(key: str, what: str) -> ValidationProblem:
    return ValidationProblem(INVALID_SEARCH, validations=[(key, f"{what} does not exist or is unavailable to you")])
