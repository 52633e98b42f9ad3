"""What MongoDB notes of commands on interceptions: which index it used, how much it read."""

from contextlib import asynccontextmanager


@asynccontextmanager
async def profiling(database):
    """Have MongoDB note each command in the block. The list has them once the block has ended."""
    noted = []
    notes = database._database["system.profile"]
    await database._database.command("profile", 2)
    try:
        yield noted
    finally:
        await database._database.command("profile", 0)
        noted += await notes.find({"ns": database.interceptions.full_name}).to_list(None)
        await notes.drop()
