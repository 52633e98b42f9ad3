"""The command `serve`: settings -> dependencies -> application -> listen -> drain."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import click
from prometheus_client.multiprocess import mark_process_dead
from tornado.netutil import bind_sockets

from commands.output import discard_output
from commands.servers import LocalServer, announced, chosen_database
from handlers.bridge import managed_providers
from handlers.dashboard import DashboardFiles
from handlers.monitoring.metrics import FOLDER_VARIABLE
from limits.authority import LocalAuthority
from runtime import quickstart
from runtime.authority import ServerAuthority
from runtime.data_folder import make_private
from runtime.factories import known_secrets, make_cluster
from runtime.jobs import Jobs
from runtime.logs import set_up_logging
from runtime.process import now, time_ordered_id
from runtime.processes.server import (
    START_ERRORS,
    SWITCH_SECONDS,
    Server,
    StartError,
    event_loop,
    keep_memory_private,
    renew_on_hangup,
    stop_signals,
)
from runtime.processes.supervisor import Handover, Supervisor, Worker
from runtime.storage import make_membership, open_database, open_mongodb
from settings import Address, Settings, SettingsCommand, declared, flags_of, settings_of
from storage.accounts.identities import Identities
from storage.accounts.sign_in.sessions import DEFAULT_TIMES
from storage.accounts.sign_in.sign_ins import SignIns
from storage.accounts.users import Role
from storage.derived.job import DerivedJob
from storage.mongo.database import Database
from storage.search.writing import add_entries, remove_entries
from upstream.demo import DemoProvider

logger = logging.getLogger("aibridge")

BACKLOG = 4096
"""Connections that may wait to be accepted: the kernel's default maximum. Thousands of clients come back after a restart."""

ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - how to reach it from here


def listen(address: Address) -> list[socket.socket]:
    """Bind the address.

    Raises:
        StartError: it is taken, not one of this machine, or not allowed.
    """
    try:
        return bind_sockets(address.port, address.host or None, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(
            f"cannot listen on {address}: {reason}; choose another with --http-address or AIBRIDGE_HTTP_ADDRESS"
        ) from error


def url_of(sockets: list[socket.socket], scheme: str = "http") -> str:
    """Where the server is reached from this machine."""
    host, port = sockets[0].getsockname()[:2]
    host = ANY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    return f"{scheme}://{host}:{port}"


def warn_of_plain_http(settings: Settings, sockets: list[socket.socket]) -> None:
    """Warn if others than this machine reach the server, and tokens and prompts cross the network unencrypted."""
    hosts = [ip_address(one.getsockname()[0].partition("%")[0]) for one in sockets]
    if not (settings.tls_cert_file or settings.trusted_proxies or all(host.is_loopback for host in hosts)):
        logger.warning(
            "clients reach %s without TLS: set tls-cert-file, or trusted-proxies if a proxy before the bridge adds TLS",
            settings.http_address,
        )


async def serve_until_stopped(settings: Settings, flags: Mapping[str, str], *, demo: bool) -> None:
    """Serve until a signal says stop, then drain.

    Args:
        settings: What the operator decided.
        flags: What of it stood on the command line.
        demo: Start the demo provider and a user for it when no provider has a key.

    Raises:
        START_ERRORS: it cannot start.
    """
    stopping = stop_signals()
    renew: asyncio.Future[Callable[[], None]] = asyncio.get_running_loop().create_future()
    renew_on_hangup(renew, stopping)
    async with AsyncExitStack() as stack:
        sockets = listen(settings.http_address)
        for one in sockets:
            stack.callback(one.close)
        uri = await open_mongodb(settings, stack)
        make_private(settings.data_dir)
        database = open_database(uri, settings, stack)
        await database.prepare(retention=settings.retention or None)
        managed = bool(await managed_providers(database, settings, now).list_all())
        has_keys = managed or any(provider.has_credential for provider in settings.providers)
        demo_url = ""
        if demo and not has_keys:
            provider = await DemoProvider().start()
            stack.push_async_callback(provider.stop)
            demo_url = provider.url
        url = url_of(sockets, "https" if settings.tls_cert_file else "http")
        identities, greeting = Identities(database, now=now, monotonic=monotonic), ""
        # Before the first call is accepted: if this fails, the server ends.
        if demo_url:
            greeting = await demo_greeting(url, settings, identities, database)
        elif demo or not await identities.list_users():
            users = sorted(await identities.list_users(), key=lambda user: user.role is not Role.OWNER)
            names, dashboard = [user.username for user in users], DashboardFiles().installed
            greeting = quickstart.first_steps(url, settings, names, dashboard=dashboard, managed=managed)
        server: Server | Supervisor
        if settings.workers == 1:
            server = await Server.open(settings, database, sockets, demo_url, stack)
        else:
            private_uri = "" if settings.mongodb_uri else uri
            # Not in a worker: those serve calls.
            derived = DerivedJob(database, add_entries, remove_entries, now=now, busy=lambda: False)
            stack.push_async_callback(Jobs(clock=monotonic).start("derived", derived.run).stop)
            handover = Handover(
                flags=dict(flags), sockets=[one.fileno() for one in sockets], mongodb_uri=private_uri, demo_url=demo_url
            )
            server = await open_supervisor(settings, handover, database, stack)
        renew.set_result(server.renew)
        warn_of_plain_http(settings, sockets)
        logger.info("the data-dir is %s", settings.data_dir.resolve())
        logger.info("AI Bridge is listening on %s", url)
        stack.enter_context(announced(LocalServer(url, chosen_database(settings))))
        if greeting:
            with suppress(OSError):  # a full disk, or a reader that is gone
                click.echo(greeting)
        if isinstance(server, Server):
            await server.settle()
        await stopping.wait()
        if isinstance(server, Supervisor):
            for one in sockets:
                one.close()  # so that they are closed with those of the last worker
        await server.stop()


async def open_supervisor(
    settings: Settings, handover: Handover, database: Database, stack: AsyncExitStack
) -> Supervisor:
    """Start the workers and wait until they serve. They are stopped with the stack, if they still run then.

    Raises:
        WorkerError: none serves.
    """
    metrics = open_metrics_folder(settings.data_dir / "metrics", stack)
    environ = os.environ | {FOLDER_VARIABLE: metrics}
    authority = await open_server_authority(settings, database, stack)
    supervisor = Supervisor(
        settings.workers,
        drain_timeout=settings.drain_timeout.total_seconds(),
        spawn=lambda: Worker.spawn(handover, environ, authority),
        reap=lambda pid: mark_process_dead(pid, metrics),  # type: ignore[no-untyped-call]
    )
    stack.push_async_callback(supervisor.stop)
    await supervisor.start()
    return supervisor


def open_metrics_folder(parent: Path, stack: AsyncExitStack) -> str:
    """Make a folder for the metrics of the workers, removed with the stack. Those that killed servers left are removed.

    Raises:
        StartError: It cannot be made.
    """
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in parent.iterdir():
            with suppress(BlockingIOError), _opened(left) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # none that a server uses
                shutil.rmtree(left)
        folder = stack.enter_context(TemporaryDirectory(dir=parent))
        fcntl.flock(stack.enter_context(_opened(Path(folder))), fcntl.LOCK_SH)
    except OSError as error:
        raise StartError(f"the data-dir {parent.parent} cannot be used: {error.strerror}: {error.filename}") from error
    return folder


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def demo_greeting(url: str, settings: Settings, identities: Identities, database: Database) -> str:
    """What a newcomer without a key is to try."""
    token = await quickstart.demo_token(identities, settings.data_dir)
    sign_ins = SignIns(database, identities, now=now, times=DEFAULT_TIMES)
    code = await sign_ins.create_code(await identities.authenticate(token))
    return quickstart.welcome(url, token, settings.data_dir, code=code, dashboard=DashboardFiles().installed)


def run(settings: Settings, flags: Mapping[str, str], *, demo: bool) -> None:
    """Run the server to its end.

    Raises:
        click.ClickException: it cannot start; shown as one line.
    """
    keep_memory_private()
    set_up_logging(known_secrets(settings))
    try:
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            runner.run(serve_until_stopped(settings, flags, demo=demo))
    except START_ERRORS as error:
        raise click.ClickException(str(error)) from error
    try:
        click.echo(nl=False)  # flushes
    except OSError:
        discard_output()


@click.command("serve", cls=SettingsCommand, params=[*declared()])
@click.option("--demo", is_flag=True, help="If no provider has a key, start a demo provider and a user for it.")
@click.pass_context
def serve(context: click.Context, /, demo: bool) -> None:
    """Serve until SIGTERM or SIGINT; a second one exits at once."""
    run(settings_of(context), flags_of(context), demo=demo)


async def open_server_authority(settings: Settings, database: Database, stack: AsyncExitStack) -> ServerAuthority:
    """Open what decides for all workers; the stack closes it, after them.

    With scope `cluster` it counts together with the other servers until then.
    """
    membership = make_membership(settings, database, time_ordered_id(), is_server=True)
    cluster = make_cluster(settings, database, membership)
    if cluster is None:
        return ServerAuthority(LocalAuthority())
    authority = ServerAuthority(cluster)
    sys.setswitchinterval(SWITCH_SECONDS)  # the driver computes in threads, and workers wait for this one
    cluster.open(authority.send_state)
    stack.push_async_callback(membership.close)
    stack.push_async_callback(cluster.close)
    await membership.open()
    stack.push_async_callback(Jobs(clock=monotonic).start("heartbeat", membership.run).stop)
    return authority
