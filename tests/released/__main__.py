"""Makes a small database with this version, and keeps what is in it: `python -m tests.released`, once for each release.

A day of the demo company, and calls to the demo provider through a server. One file for each collection, one document a line,
as Extended JSON, packed: `zcat tests/released/0.1.0/users.jsonl.gz` shows it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bson import json_util
from pymongo import MongoClient

from storage.demo.filling import Filling
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from tests.polling import PAUSE_SECONDS
from tests.server_process import ServerProcess
from version import VERSION

KEPT = Path(__file__).parent
A_SUNDAY = datetime(2026, 11, 29, 15, tzinfo=UTC)
"""When the demo company has few calls."""

NAME = "aibridge"
CONTROL = "/api/v2/aibridge"
PROMPT = [{"role": "user", "content": "What is a gateway?"}]
CALLS = [
    ("chat/completions", {"model": "demo", "messages": PROMPT, "metadata": {"project": "atlas"}}),
    ("chat/completions", {"model": "demo", "messages": PROMPT, "stream": True}),
    ("chat/completions", {"model": "demo-error", "messages": PROMPT}),
    ("responses", {"model": "demo", "input": "What is a gateway?"}),
    ("messages", {"model": "demo", "messages": PROMPT, "max_tokens": 1024, "stream": True}),
    ("embeddings", {"model": "demo", "input": "What is a gateway?"}),
]


async def fill(uri: str) -> int:
    """Record a day of the demo company; return how many calls it has."""
    database = Database.connect(uri, NAME)
    await database.prepare(retention=None)
    filling = Filling(database, until=A_SUNDAY, days=1)
    await filling.add_people()
    calls = await filling.add_day(1)
    await filling.add_policies()
    database.close()
    return calls


async def call(uri: str, data_dir: Path, calls: int) -> None:
    """Record calls of a server, and wait until they are in its figures, with so many that are there."""
    where = {"AIBRIDGE_MONGODB_URI": uri, "AIBRIDGE_MONGODB_DATABASE": NAME}
    server = ServerProcess("serve", "--demo", "--http-address", "127.0.0.1:0", "--data-dir", data_dir, **where)
    try:
        client = await server.client()
        token = (data_dir / "demo-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for path, body in CALLS:
            await client.request("POST", f"{CONTROL}/demo/v1/{path}", headers, json.dumps(body).encode())
        added = 0
        while added < calls + len(CALLS):
            await asyncio.sleep(PAUSE_SECONDS)
            _, figures = await server.get(f"{CONTROL}/stats?from=2026-01-01T00:00:00Z", token)
            added = figures["total"]["interceptions"]
        await server.leave()
        server.send(signal.SIGTERM)
        await server.ended()
    finally:
        server.kill()


def keep(uri: str, folder: Path) -> None:
    """Write what is in the database."""
    folder.mkdir()
    with MongoClient(uri) as client:
        for name in client[NAME].list_collection_names():
            documents = client[NAME][name].find().sort("_id")
            lines = [json_util.dumps(one, json_options=json_util.RELAXED_JSON_OPTIONS) + "\n" for one in documents]
            if lines:
                (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


async def main() -> None:
    with TemporaryDirectory() as data_dir:
        mongodb = await EmbeddedMongoDB.start(Path(data_dir, "mongodb"))
        try:
            calls = await fill(mongodb.uri)
            await call(mongodb.uri, Path(data_dir, "server"), calls)
            keep(mongodb.uri, KEPT / VERSION)
        finally:
            await mongodb.stop()


asyncio.run(main())
