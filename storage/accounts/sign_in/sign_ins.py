"""Creates, lists and ends sessions. `storage.accounts.authentication` verifies them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from pymongo import DESCENDING

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.authentication import InvalidTokenError, Kind
from storage.accounts.events import Action
from storage.accounts.identities import Identities
from storage.accounts.sign_in.sessions import MAX_SESSIONS, MAX_USER_AGENT, Method, SessionTimes, SignInSession
from storage.accounts.token_texts import digest, has_ended, new_token
from storage.accounts.users import Identity, UnknownIdentityError, readable
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session, page_of

MAX_ID_TOKEN = 6_000
"""Characters of an ID token that is kept: it has to fit into an address later."""

CODE_SECONDS = 600.0
"""How long a code signs in that has not been used yet."""

INVITED_SECONDS = 7 * 86_400.0
"""How long the code of an invitation does."""


class InvalidCodeError(Exception):
    """A code does not sign in: it is unknown, used or too old, or its token is no longer valid."""


class SignIns(Changes):
    """The sessions of a database. Every method raises `DatabaseUnavailableError`.

    A user or session that is not there raises `UnknownIdentityError`.
    """

    def __init__(self, database: Database, identities: Identities, *, now: Now, times: SessionTimes) -> None:
        super().__init__(database, now=now)
        self._sessions = database.sign_in_sessions
        self._identities = identities
        self._times = times

    async def create(
        self,
        identity: Identity,
        *,
        client_ip: str,
        user_agent: str,
        method: Method = Method.TOKEN,
        id_token: str = "",
    ) -> str:
        """Create a session for an authenticated user. Return its text, which cannot be read again.

        It ends with the token that they did it with, if there is one, at the latest. A user has at most `MAX_SESSIONS`.
        `id_token` is kept until then, for the provider, which is notified of the end; a long one is not.
        """
        text, now = new_token(), self._now()
        session_id, _, secret = text.partition("-")
        async with self._database.within(ANSWER_SECONDS):
            token = await self._database.tokens.find_one({"_id": identity.token_id}, {"expires_at": True})
            ends_at = min(now + self._times.idle, now + self._times.lifetime)
            token_ends_at = (token or {}).get("expires_at")
            document = {
                "_id": session_id,
                "schema_version": 1,
                "secret_sha256": digest(secret),
                "user_id": identity.user.id,
                "token_id": identity.token_id or None,
                "method": method.value,
                "created_at": now,
                "last_used_at": now,
                "expires_at": min(ends_at, token_ends_at or ends_at),
                "client_ip": client_ip,
                "user_agent": readable(user_agent, MAX_USER_AGENT),
            }
            if 0 < len(id_token) <= MAX_ID_TOKEN:
                document["id_token"] = id_token
            await self._sessions.insert_one(document)
            own = self._sessions.find({"user_id": identity.user.id}, {"_id": True})
            surplus = [one["_id"] async for one in own.sort("last_used_at", DESCENDING).skip(MAX_SESSIONS)]
            if surplus:
                await self._sessions.delete_many({"_id": {"$in": surplus}})
                self._identities.forget(identity.user.id)
        return text

    async def create_code(self, identity: Identity) -> str:
        """Make a code that signs in once, within `CODE_SECONDS`, as the token of this identity does. It has a token's form."""
        async with self._database.within(ANSWER_SECONDS):
            return await self._add_code({"token_id": identity.token_id})

    async def create_invitation(self, identity: Identity) -> str:
        """Make a code as `create_code` does, which signs in within `INVITED_SECONDS`."""
        async with self._database.within(ANSWER_SECONDS):
            return await self._add_code({"token_id": identity.token_id}, INVITED_SECONDS)

    async def create_link(self, username: str) -> str:
        """Create a code that signs in a user without a token, also if no other way to sign in is on."""
        async with self._database.within(ANSWER_SECONDS):
            user = await self._identities.existing_user(username, None)
            code = await self._add_code({"user_id": user.id})
            await self._audit(None, COMMAND_LINE, Action.LINK_CREATED, user)
        return code

    async def _add_code(self, whose: dict[str, Any], seconds: float = CODE_SECONDS) -> str:
        code, expires_at = new_token(), self._now() + timedelta(seconds=seconds)
        document = {"_id": digest(code), "schema_version": 1, **whose, "expires_at": expires_at}
        await self._database.sign_in_codes.insert_one(document)
        return code

    async def redeem(self, code: str) -> Identity:
        """Return the user of a code, once.

        Raises:
            InvalidCodeError: The code is not valid.
        """
        async with self._database.within(ANSWER_SECONDS):
            found = await self._database.sign_in_codes.find_one_and_delete({"_id": digest(code)})
            if found is None or has_ended(found["expires_at"], self._now()):
                raise InvalidCodeError
            try:
                if "user_id" in found:
                    return await self._identities.user_with_id(found["user_id"])
                return await self._identities.owner_of_token(found["token_id"])
            except InvalidTokenError as error:
                raise InvalidCodeError from error

    async def page(self, username: str, *, limit: int, offset: int) -> tuple[int, list[SignInSession]]:
        """Return the number of active sessions of a user, and some of them, the last used first."""
        async with self._database.within(ANSWER_SECONDS):
            user = await self._identities.existing_user(username, None)
            own = {"user_id": user.id, "expires_at": {"$gt": self._now()}}
            order = [("last_used_at", DESCENDING), ("_id", DESCENDING)]
            count, found = await page_of(self._sessions, own, order, limit, offset)
            return count, list(map(SignInSession.of, found))

    async def end(self, session_id: str, *, of: str, author: Author) -> None:
        """End a session of the user `of`, by the public part of it.

        If the author is another user, the audit trail gets an entry.
        """

        async def end(session: Session) -> None:
            ended = await self._sessions.find_one_and_delete({"_id": session_id, "user_id": user.id}, session=session)
            if ended is None:
                raise UnknownIdentityError("there is no such session; it may have ended")
            if author.user is None or author.user.id != user.id:
                detail = {"session_id": session_id} | ({"token_id": ended["token_id"]} if ended["token_id"] else {})
                await self._audit(session, author, Action.SESSION_ENDED, user, **detail)

        async with self._database.within(ANSWER_SECONDS):
            user = await self._identities.existing_user(of, None)
            await self._database.together(end)
        self._identities.forget(user.id)

    async def sign_out(self, text: str) -> str:
        """End the session of this text, if it is one. Returns the ID token that it was made with, "" where none is kept."""
        with suppress(InvalidTokenError):
            identity = await self._identities.authenticate_afresh(text, Kind.SESSION)
            async with self._database.within(ANSWER_SECONDS):
                ended = await self._sessions.find_one_and_delete({"_id": identity.session_id})
            self._identities.forget(identity.user.id)
            return str((ended or {}).get("id_token", ""))
        return ""
