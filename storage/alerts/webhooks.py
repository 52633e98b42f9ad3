"""The webhooks of a database: who adds, changes and removes them. Each change is audited; secrets are sealed."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import structs

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import ChangedMeanwhileError, IdentityConflictError, IdentityError, UnknownIdentityError
from storage.alerts.documents import MAX_WEBHOOKS, AlertType, Webhook
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session
from storage.providers.sealing import NoEncryptionKeyError, Sealer

SECRET_BYTES: Final = 32
"""The length of a webhook's secret; Standard Webhooks wants 24 to 64 bytes."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix


def format_secret(secret: bytes) -> str:
    """Write a secret as receivers get it."""
    return SECRET_PREFIX + b64encode(secret).decode()


UNKNOWN: Final = "there is no webhook with this id"
CHANGED: Final = "the webhook was changed meanwhile; read it again"
TOO_MANY: Final = f"there are {MAX_WEBHOOKS} webhooks already, the most that are allowed"


class Webhooks(Changes):
    """The webhooks of a database. Every method raises `DatabaseUnavailableError`.

    A webhook that is not there raises `UnknownIdentityError`.
    """

    def __init__(self, database: Database, sealer: Sealer, *, now: Now) -> None:
        super().__init__(database, now=now)
        self._sealer = sealer

    async def list_all(self) -> list[Webhook]:
        """List all of them, in the order in which they were added."""
        async with self._database.within(ANSWER_SECONDS):
            found = self._database.webhooks.find().sort([("created_at", 1), ("_id", 1)])
            return [Webhook.of(document) async for document in found]

    async def find(self, id_: UUID) -> Webhook:
        """Find one."""
        async with self._database.within(ANSWER_SECONDS):
            return await self._existing(id_, None)

    async def add(
        self, url: str, types: Sequence[AlertType], *, description: str = "", author: Author = COMMAND_LINE
    ) -> tuple[Webhook, str]:
        """Add one; return it, and its secret, which is never shown again.

        Raises:
            IdentityError: There is no encryption key for the secret.
            IdentityConflictError: There are `MAX_WEBHOOKS`.
        """
        secret, at, id_ = format_secret(secrets.token_bytes(SECRET_BYTES)), self._now(), uuid4()
        try:
            sealed = self._sealer.seal(secret, id_)
        except NoEncryptionKeyError as error:
            raise IdentityError(str(error)) from error
        webhook = Webhook(
            id=id_,
            url=url,
            description=description,
            types=tuple(types),
            disabled=False,
            sealed=sealed,
            created_at=at,
            changed_at=at,
            last_delivery=None,
        )

        async def add(session: Session) -> None:
            if await self._database.webhooks.count_documents({}, session=session) >= MAX_WEBHOOKS:
                raise IdentityConflictError(TOO_MANY)
            await self._database.webhooks.insert_one(webhook.document, session=session)
            await self._audit(session, author, Action.WEBHOOK_ADDED, webhook_id=id_)

        await self._change(add)
        return webhook, secret

    async def change(
        self,
        id_: UUID,
        changes: Mapping[str, Any],
        *,
        versions: Collection[str] | None = None,
        author: Author = COMMAND_LINE,
    ) -> Webhook:
        """Change the given fields: `url`, `description`, `types` or `disabled`."""

        async def change(session: Session) -> Webhook:
            old = await self._existing(id_, session, versions)
            new = structs.replace(old, **changes)
            if changed := [name for name in changes if getattr(old, name) != getattr(new, name)]:
                new = structs.replace(new, changed_at=self._now())
                fields = {name: new.document[name] for name in (*changed, "changed_at")}
                await self._database.webhooks.update_one({"_id": id_}, {"$set": fields}, session=session)
                await self._audit(session, author, Action.WEBHOOK_CHANGED, webhook_id=id_, changes=changed)
            return new

        return await self._change(change)

    async def remove(
        self, id_: UUID, *, versions: Collection[str] | None = None, author: Author = COMMAND_LINE
    ) -> None:
        """Remove one with its waiting deliveries."""

        async def remove(session: Session) -> None:
            await self._existing(id_, session, versions)
            await self._database.webhooks.delete_one({"_id": id_}, session=session)
            await self._database.webhook_deliveries.delete_many({"webhook_id": id_}, session=session)
            await self._audit(session, author, Action.WEBHOOK_REMOVED, webhook_id=id_)

        await self._change(remove)

    async def reseal(self) -> int:
        """Seal every secret with the first encryption key, and return how many were not.

        Raises:
            SealError: A secret cannot be opened.
        """
        old = [one for one in await self.list_all() if not self._sealer.is_current(one.sealed)]
        for webhook in old:
            sealed = self._sealer.seal(self._sealer.open(webhook.sealed, webhook.id), webhook.id)
            await self._change(partial(self._reseal, webhook, sealed))
        return len(old)

    async def _reseal(self, webhook: Webhook, sealed: bytes, session: Session) -> None:
        same = {"_id": webhook.id, "sealed": webhook.sealed}
        changed = await self._database.webhooks.update_one(same, {"$set": {"sealed": sealed}}, session=session)
        if changed.matched_count:
            await self._audit(session, COMMAND_LINE, Action.WEBHOOK_CHANGED, webhook_id=webhook.id, changes=["seals"])

    async def _existing(self, id_: UUID, session: Session | None, versions: Collection[str] | None = None) -> Webhook:
        document = await self._database.webhooks.find_one({"_id": id_}, session=session)
        if document is None:
            raise UnknownIdentityError(UNKNOWN)
        found = Webhook.of(document)
        if versions is not None and found.version not in versions:
            raise ChangedMeanwhileError(CHANGED)
        return found
