"""`/api/v2/aibridge/tokens`: tokens of all users, found by id, name or the token itself; and the service tokens of groups."""

from __future__ import annotations

from handlers.api.accounts.changes import ChangeHandler
from handlers.api.accounts.groups import NOT_YOURS_TO_CHANGE as ONLY_OWNERS
from handlers.api.accounts.tokens import NOT_YOURS_TO_SEE, TokenChangeHandler
from handlers.api.pagination import INVALID, parse_page
from handlers.problems import ValidationProblem
from intercept.secrets.scrub import scrub_quoted
from resources.accounts.tokens import (
    CreatedToken,
    FoundToken,
    Replacement,
    TokenText,
    expiry,
)
from resources.fields import Initiator, ListPage
from storage.accounts.users import SERVICE_PREFIX
from storage.queries.accounts.tokens import TokenDetails

MAX_SEARCH = 256
TOO_LONG = f"has more than {MAX_SEARCH} characters"
NOT_IN_ADDRESSES = (
    "looks like a token or a key: send it in the body of POST /api/v2/aibridge/tokens/lookup, never in an address"
)
ONLY_OWNERS_LOOK_UP = "Only owners may look tokens up."


def _found(details: TokenDetails) -> FoundToken:
    return FoundToken.of(details.token, details.last_use, user=Initiator.of_user(details.user))


class AllTokensHandler(ChangeHandler):
    """The tokens of all users."""

    async def get(self) -> None:
        """Respond with `{"count": n, "results": [..]}`, newest first."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        values = self.parameters("q", "limit", "offset")
        page, text = parse_page(values), values.get("q", "")
        if scrub_quoted(text) != text:
            raise ValidationProblem(INVALID, validations=[("q", NOT_IN_ADDRESSES)])
        if len(text) > MAX_SEARCH:
            raise ValidationProblem(INVALID, validations=[("q", TOO_LONG)])
        count, found = await self.bridge.tokens.search(text.strip(), limit=page.limit, offset=page.offset)
        self.write_json(ListPage(count, [_found(one) for one in found]))


class TokenLookupHandler(ChangeHandler):
    """Metadata of a token, by the token itself, which is only in the body."""

    async def post(self) -> None:
        """Respond with the token's metadata and its owner."""
        await self.identify_owner(ONLY_OWNERS_LOOK_UP)
        body = self.read_body(TokenText)
        found = await self.bridge.tokens.lookup(body.token)
        self.write_json(_found(found))


class AnyTokenHandler(TokenChangeHandler):
    """A token of any user or group."""

    async def delete(self, token_id: str) -> None:
        """Revoke a token: 204, also when it was revoked before. Tokens of others are known to owners alone."""
        await self.identify_person()
        own = None if self.is_owner else self.identity.user.username
        await self.bridge.identities.revoke_token(token_id, of=own, author=self.author)
        self.set_status(204)


class TokenReplacementHandler(TokenChangeHandler):
    """A token that another one replaces."""

    async def post(self, token_id: str) -> None:
        """Create a token instead: 201, with the token itself, which appears only here.

        For callers who are not owners, tokens of others are unknown.
        """
        await self.identify_person()
        self.check_creation()
        body = self.read_body(Replacement)
        token, text = await self.bridge.identities.replace_token(
            token_id,
            overlap=body.overlap_time,
            expires_at=expiry(body, self.bridge.now()),
            of=None if self.is_owner else self.identity.user.id,
            author=self.author,
        )
        self.write_json(CreatedToken.of(token, token=text), 201)


class ServiceTokensHandler(TokenChangeHandler):
    """The tokens that belong to a group."""

    async def get(self, group: str) -> None:
        """Respond with `{"count": n, "results": [..]}`, newest first."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        await self.write_tokens(SERVICE_PREFIX + group)

    async def post(self, group: str) -> None:
        """Create a token of a group: 201, with the token itself, which appears only here."""
        await self.identify_owner(ONLY_OWNERS)
        await self.create_token(SERVICE_PREFIX + group)
