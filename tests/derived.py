"""What the server derives from calls in the background, done at once."""

from runtime.process import now as current
from storage.derived.job import DerivedJob
from storage.search.writing import add_entries, remove_entries


def derived_job(database, *, now=current, **options):
    return DerivedJob(database, add_entries, remove_entries, now=now, **options)


async def derive(database, *, now=current):
    """Add what has ended to rollups, sessions and the search index."""
    await derived_job(database, now=now).catch_up()


async def derive_listed(database, *, now=current):
    """Derive, and have sessions of one call look like those of two, which lists have."""
    await derive(database, now=now)
    await database.sessions.update_many({"interceptions": 1}, {"$set": {"interceptions": 2}})
