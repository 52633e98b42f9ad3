"""The parts that use the database: opened here, and closed with the stack of the process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from time import monotonic
from uuid import UUID

from intercept.restricted_texts import Texts
from runtime.jobs import Jobs
from runtime.process import Process, now
from settings import RecordPolicy, Settings
from storage.members.membership import Membership
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from storage.prices.pricing import Prices
from storage.recording.outbox.spool import Spool, SpoolOpenError, claim_numbered
from storage.recording.recorder import Recorder
from upstream.providers.provider import Provider
from version import VERSION

# How long a stopping server lets its recorder write what it still holds.
FLUSH_SECONDS = 10.0


async def open_mongodb(settings: Settings, stack: AsyncExitStack) -> str:
    """Say where to record: at the URI that is set, or in an embedded MongoDB, which is kept running until the stack closes.

    Raises:
        EmbeddedUnavailableError: none can be started here.
    """
    if settings.mongodb_uri:
        return settings.mongodb_uri
    embedded = await EmbeddedMongoDB.start(settings.data_dir)
    stack.push_async_callback(embedded.stop)
    stack.push_async_callback(Jobs(clock=monotonic).start("embedded_mongodb", embedded.keep).stop)
    return embedded.uri


def open_database(uri: str, settings: Settings, stack: AsyncExitStack) -> Database:
    """Make the database of a URI. Closed with the stack.

    Raises:
        DatabaseUnavailableError: the URI is not one.
    """
    database = Database.connect(uri, settings.mongodb_database)
    stack.callback(database.close)
    return database


def make_membership(settings: Settings, database: Database, process: UUID, *, is_server: bool) -> Membership:
    """The heartbeats of a process. One that is a whole server also has its data-dir, unless the embedded MongoDB has it."""
    has_folder = is_server and bool(settings.mongodb_uri)
    return Membership(database, process=process, folder=settings.data_dir if has_folder else None, version=VERSION)


async def open_recorder(process: Process, providers: list[Provider]) -> Recorder:
    """Open the recorder, with the spool of this process.

    Raises:
        SpoolOpenError: another server has it open, or the data-dir is unusable.
    """
    settings, folder = process.settings, process.spool_folder
    try:
        spool = Spool(folder) if settings.workers == 1 else claim_numbered(folder)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}"
        raise SpoolOpenError(f"the data-dir {settings.data_dir} cannot be used: {reason}") from error
    recorder = Recorder(
        process.database,
        instance_id=process.id,
        strict=settings.record_policy is RecordPolicy.STRICT,
        spool=spool,
        now=now,
        texts=Texts(next(iter(settings.encryption_keys), b"")),
        prices=Prices({provider.name: (provider.preset.prices, provider.base_url) for provider in providers}),
    )
    process.stack.push_async_callback(recorder.close, FLUSH_SECONDS)
    watch = process.metrics.watch
    watch("recorder_queue_length", "Records that wait in memory.", lambda: recorder.queue_length)
    watch("recorder_spooled_records", "Records that wait in the spool alone.", lambda: recorder.outbox.spool.records)
    return recorder
