"""The providers of the database: who adds, changes and removes them. Each change is audited."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from msgspec import structs

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.mongo.clocks import Now
from storage.mongo.database import Database, Session
from storage.providers.documents import (
    MAX_PROVIDERS,
    Check,
    GivenKey,
    InvalidProviderError,
    NewKey,
    ProviderSpec,
    StoredKey,
    StoredProvider,
    StoredSecret,
    changed_fields,
    merge_keys,
    merge_secrets,
)
from storage.providers.sealing import NoEncryptionKeyError, Sealer

KEY_ID_BYTES = 6
_NO_SECRETS: Mapping[str, str] = MappingProxyType({})


class ManagedProviders(Changes):
    """The providers of a database. Every method raises `DatabaseUnavailableError`.

    A provider that is not there raises `UnknownIdentityError`.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        *,
        check: Check,
        hint: Callable[[str], str],
        now: Now,
    ) -> None:
        super().__init__(database, now=now)
        self._check = check
        self._hint = hint
        self.sealer = sealer

    async def list_all(self) -> list[StoredProvider]:
        """List all of them, in the order in which they were added."""
        self._database.require_available()
        async with self._database.within(ANSWER_SECONDS):
            found = self._database.providers.find().sort([("created_at", 1), ("_id", 1)]).limit(MAX_PROVIDERS)
            return [StoredProvider.of(document) async for document in found]

    async def find(self, name: str) -> StoredProvider:
        """Find one."""
        async with self._database.within(ANSWER_SECONDS):
            return await self._existing(name, None)

    async def add(
        self,
        spec: ProviderSpec,
        keys: Sequence[NewKey] = (),
        secrets: Mapping[str, str] = _NO_SECRETS,
        *,
        author: Author = COMMAND_LINE,
    ) -> StoredProvider:
        """Add a provider. `secrets` are by `SECRETS`.

        Raises:
            InvalidProviderError: it cannot be as it is.
            IdentityConflictError: its name is taken, or there are `MAX_PROVIDERS`.
        """
        at, id_ = self._now(), uuid4()
        sealed = self._secrets(None, id_, spec, secrets)
        provider = StoredProvider(id_, spec, self._keys(None, id_, spec, keys, sealed), at, at, 1, sealed)

        async def add(session: Session) -> None:
            if await self._database.providers.count_documents({}, session=session) >= MAX_PROVIDERS:
                raise IdentityConflictError(f"there are {MAX_PROVIDERS} providers already, the most that are allowed")
            await self._database.providers.insert_one(provider.document, session=session)
            await self._audit(session, author, Action.PROVIDER_ADDED, provider=spec.name)

        await self._change_named(add, f"a provider named {spec.name} exists already")
        return provider

    async def change(
        self,
        name: str,
        changes: dict[str, Any],
        keys: Sequence[GivenKey] | None = None,
        secrets: Mapping[str, str] = _NO_SECRETS,
        *,
        author: Author = COMMAND_LINE,
    ) -> StoredProvider:
        """Change the given fields of a provider.

        `keys` are all its new keys, in order. `secrets` that are not given stay; an empty text removes one.

        Raises:
            InvalidProviderError: it cannot be as it would be.
            IdentityConflictError: somebody else changed it at the same time.
        """

        async def change(session: Session) -> StoredProvider:
            old = await self._existing(name, session)
            spec = structs.replace(old.spec, **changes)
            sealed = self._secrets(old, old.id, spec, secrets)
            new = structs.replace(old, spec=spec, keys=self._keys(old, old.id, spec, keys, sealed), secrets=sealed)
            if not (changed := changed_fields(old, new)):
                return old
            new = structs.replace(new, changed_at=self._now(), revision=old.revision + 1)
            await self._replace(old, new, session)
            await self._audit(session, author, Action.PROVIDER_CHANGED, provider=name, changes=changed)
            return new

        return await self._change(change)

    async def reseal(self) -> int:
        """Seal every key with the first encryption key, and return how many were not. What cannot be opened raises.

        Raises:
            SealError: there is no encryption key, or a key cannot be opened.
            IdentityConflictError: somebody else changed a provider at the same time.
        """
        self.sealer.require()
        resealed = 0
        for provider in await self.list_all():
            sealed = [one.sealed for one in provider.keys] + [one.sealed for one in provider.secrets.values()]
            old = [one for one in sealed if not self.sealer.is_current(one)]
            if old:
                await self._reseal(provider)
                resealed += len(old)
        return resealed

    async def _reseal(self, provider: StoredProvider) -> None:
        def again(sealed: bytes) -> bytes:
            return self.sealer.seal(self.sealer.open(sealed, provider.id), provider.id)

        keys = tuple(structs.replace(key, sealed=again(key.sealed)) for key in provider.keys)
        secrets = {name: structs.replace(one, sealed=again(one.sealed)) for name, one in provider.secrets.items()}
        new = structs.replace(provider, keys=keys, secrets=secrets, revision=provider.revision + 1)

        async def replace(session: Session) -> None:
            await self._replace(provider, new, session)
            name = provider.spec.name
            await self._audit(session, COMMAND_LINE, Action.PROVIDER_CHANGED, provider=name, changes=["seals"])

        await self._change(replace)

    async def _replace(self, old: StoredProvider, new: StoredProvider, session: Session) -> None:
        as_it_was = {"_id": old.id, "revision": old.revision}
        replaced = await self._database.providers.replace_one(as_it_was, new.document, session=session)
        if not replaced.matched_count:
            name = old.spec.name
            raise IdentityConflictError(f"the provider {name} was changed at the same moment; please try again")

    async def remove(self, name: str, *, author: Author = COMMAND_LINE) -> None:
        """Remove a provider and its keys. Records stay."""

        async def remove(session: Session) -> None:
            removed = await self._database.providers.delete_one({"name": name}, session=session)
            if not removed.deleted_count:
                raise UnknownIdentityError(f"there is no provider named {name} in the database")
            await self._audit(session, author, Action.PROVIDER_REMOVED, provider=name)

        await self._change(remove)

    def _secrets(
        self, old: StoredProvider | None, owner: UUID, spec: ProviderSpec, given: Mapping[str, str]
    ) -> dict[str, StoredSecret]:
        def seal(name: str, text: str) -> StoredSecret:
            hint = "" if name == "client_certificate" else text.partition(":")[0]
            try:
                sealed = self.sealer.seal_named(name, text, owner)
            except NoEncryptionKeyError as error:
                raise InvalidProviderError([(name, str(error))]) from error
            return StoredSecret(hint, sealed, self._now())

        return merge_secrets(old, spec, given, seal)

    def _keys(
        self,
        old: StoredProvider | None,
        owner: UUID,
        spec: ProviderSpec,
        keys: Sequence[GivenKey] | None,
        names: Collection[str],
    ) -> tuple[StoredKey, ...]:
        at = self._now()

        def seal(text: str) -> StoredKey:
            return StoredKey(secrets.token_hex(KEY_ID_BYTES), self._hint(text), self.sealer.seal(text, owner), at)

        try:
            merged = merge_keys(old, spec, keys, seal)
        except NoEncryptionKeyError as error:
            raise InvalidProviderError([("keys", str(error))]) from error
        if problems := self._check(spec, len(merged), names):
            raise InvalidProviderError(problems)
        return merged

    async def _existing(self, name: str, session: Session | None) -> StoredProvider:
        found = await self._database.providers.find_one({"name": name}, session=session)
        if found is None:
            raise UnknownIdentityError(f"there is no provider named {name} in the database")
        return StoredProvider.of(found)
