import socket
from functools import partial

import pytest

from storage.mongo import database as database_module
from storage.mongo.database import Database


@pytest.fixture
def unreachable():
    """A database at an address where nobody listens, and nobody will; given up on almost at once."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database_module, "OPTIONS", database_module.OPTIONS | {"serverSelectionTimeoutMS": 250})
            # The driver says why, however late its thread gets a processor.
            patch.setattr(database_module, "SLACK_SECONDS", 20)
            database = Database.connect(f"mongodb://ada:s3cret@127.0.0.1:{bound.getsockname()[1]}/", "away")

            async def probe():
                async with database.within(0.25):
                    await database.members.find_one()

            within = database.within

            def briefly(seconds, *what, **how):
                return within(seconds and min(seconds, 0.25), *what, **how)

            database.within = briefly
            database.query = partial(briefly, 0.25)
            database.health._probe = probe
            yield database
            database.close()
