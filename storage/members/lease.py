"""A lease: what one process of all on a database may do, until it stops renewing it."""

from __future__ import annotations

from uuid import UUID

from pymongo import ReturnDocument

from storage.mongo.database import Collection


async def has_lease(collection: Collection, name: str, holder: UUID, seconds: float) -> bool:
    """Take a lease that is free, or renew the own one, by the database's clock. Return whether `holder` has it.

    The lease is the field `lease` of the document with this `_id`, which is made if it is missing. A change that needs
    the lease should match `lease.holder` in its own transaction: it may have ended since.

    Args:
        collection: Where the lease is kept.
        name: The `_id` of its document.
        holder: Who takes it.
        seconds: So much later the lease is free again, unless it was renewed.

    Raises:
        PyMongoError: It is not known.
    """
    is_free = {"$lte": [{"$ifNull": ["$lease.until", "$$NOW"]}, "$$NOW"]}
    is_own = {"$eq": ["$lease.holder", {"$literal": holder}]}
    renewed = {"holder": {"$literal": holder}, "until": {"$add": ["$$NOW", round(1000 * seconds)]}}
    after = await collection.find_one_and_update(
        {"_id": name},
        [{"$set": {"lease": {"$cond": [{"$or": [is_own, is_free]}, renewed, "$lease"]}}}],
        {"lease.holder": 1},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return bool(after["lease"]["holder"] == holder)
