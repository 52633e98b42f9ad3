"""The owner of every test's bridge, and its token."""

from __future__ import annotations

from pymongo import WriteConcern

from storage.accounts.identities import Identities
from storage.accounts.users import Identity, Role
from storage.mongo.database import Database


class Owner:
    """The user ada, an owner, and her token: made once, and then inserted into each database as MongoDB had them.

    Making them takes two transactions of a dozen commands. Inserting them takes three commands.
    """

    def __init__(self) -> None:
        self._documents: dict[str, list[dict]] = {}

    async def add_to(self, database: Database, identities: Identities) -> tuple[Identity, str]:
        """Put her into an empty database. Return who she is, and the token's text."""
        if not self._documents:
            user = await identities.add_user("ada", role=Role.OWNER)
            token, self._text = await identities.create_token("ada")
            self._identity = Identity(user=user, token_id=token.id)
            self._documents = {
                name: await getattr(database, name).find().to_list(None) for name in ("audit", "users", "tokens")
            }
            assert {name: len(found) for name, found in self._documents.items()} == {
                "audit": 2,
                "users": 1,
                "tokens": 1,
            }
        else:
            for name, documents in self._documents.items():
                # The last one waits until a majority has what came before, too.
                concern = WriteConcern("majority" if name == "tokens" else 1)
                await getattr(database, name).with_options(write_concern=concern).insert_many(documents)
        return self._identity, self._text
