"""A whole deployment under load while faults are made, and the results."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.mongo.database import Database
from tests.faults.audit import COMPLETED, Records
from tests.faults.cluster.faults import Faults, Happened
from tests.faults.cluster.network import Host, Network, clock
from tests.faults.cluster.servers import RATE, USER_MAX_CONCURRENCY, WINDOW_SECONDS, Server
from tests.faults.cluster.traffic import GREEDY, STEADY, TimedProvider, Traffic, group_of
from tests.faults.cluster.windows import Count, Span, admitted, at_once, exceeding, most_admitted
from tests.faults.deployment import DATABASE_UNAVAILABLE, LEFT_IN_FLIGHT
from tests.faults.waiting import until
from tests.mongodb.replica_set import Member, ReplicaSet, free_addresses

SERVERS = MEMBERS = 3
MEMBER_PORT = 27017
ELECTION_MS = 3_000
WARM_UP_SECONDS = 12.0
# By so much the clock of a member is ahead, and that of a server behind.
WRONG_SECONDS = 60
# The ledgers' clock is a wall clock of whole milliseconds, which may be slewed.
MEASURED_SECONDS = WINDOW_SECONDS * 0.999
# After another member became primary, rates count up to a minute longer.
MOVED_SECONDS = 60
# A refusal that took longer tells too little of when it was decided.
SOON_SECONDS = 0.5
RATE_LIMITED = b"rate limited"
# So long a server gets no answer before it decides alone.
SILENT_SECONDS = 3
# After a server is back, its share may be used again.
RETURNED_SECONDS = 10
AT_REST_SECONDS = 60.0
# So many of a limit are used when somebody is refused.
NEARLY_ALL = 95
SAID = [
    *DATABASE_UNAVAILABLE,
    LEFT_IN_FLIGHT,
    r"WARNING storage\.admission\.cluster: limits are server-local until the database is available: ",
]


@dataclass
class Report:
    """What came of it. Times are in seconds since the beginning. The first fields are empty if all is well."""

    over_rate: list[Any] = field(default_factory=list)
    over_slots: list[Any] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    wrong: dict[str, list[int]] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)
    namespaces: bool = False
    clocks: bool = False
    seconds: float = 0.0
    calls: dict[str, int] = field(default_factory=dict)
    most_in_a_window: int = 0
    full_windows: list[Count] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, Any]:
        names = ("over_rate", "over_slots", "cut", "wrong", "held", "complaints")
        return {name: found for name, found in asdict(self).items() if name in names and found}


class Stage:
    """Three servers on a replica set of three, clients and a provider. `run` it for a while."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = Network(MEMBERS + SERVERS)

    async def run(self, seconds: float) -> Report:
        """Make faults for so long, at least one of each kind, and tell what came of it."""
        async with AsyncExitStack() as stack:
            stack.callback(self._network.close)
            machines = self._network.hosts[:MEMBERS]
            members = ReplicaSet(self._folder / "members", self._places(machines), ELECTION_MS)
            stack.push_async_callback(members.kill)
            await members.start()
            provider = await TimedProvider().start(host=self._network.front)
            stack.push_async_callback(provider.stop)
            servers = [self._server(number, members.uri, provider.url) for number in range(SERVERS)]
            tokens = await _tokens(members.uri)
            for server in servers:
                stack.push_async_callback(server.close)
                await server.start()
            traffic = Traffic(servers, *tokens)
            faults = Faults(servers, members, machines)
            began = asyncio.get_running_loop().time()
            async with traffic.running():
                await asyncio.sleep(WARM_UP_SECONDS)
                await self._make(faults, seconds)
            report = Report(namespaces=self._network.namespaces, clocks=bool(clock(0)))
            report.seconds = asyncio.get_running_loop().time() - began
            report.held = await _at_rest(servers, tokens[1])
            for server in servers:
                await server.stop()
            await _check_records(report, members.uri, traffic, provider)
            alone = [
                Happened("cut off", f"server {number}", span.begin - SILENT_SECONDS, span.end)
                for number, server in enumerate(servers, 1)
                for span in server.alone()
            ]
            _check_limits(report, traffic, provider, faults.happened + alone)
            _check_streams(report, servers, traffic)
            report.complaints = [line for server in servers for line in server.complaints(SAID)]
            _tell(report, traffic, faults.happened, began)
            return report

    async def _make(self, faults: Faults, seconds: float) -> None:
        now = asyncio.get_running_loop().time
        end = now() + seconds
        for round_ in faults.rounds():
            for fault in round_:
                await faults.make(fault)
            if now() >= end:
                return
            # Rates of a new primary count for longer; then windows can be full again.
            await asyncio.sleep(max(0.0, min(MOVED_SECONDS + WINDOW_SECONDS, end - now())))

    def _places(self, machines: Sequence[Host]) -> list[Member]:
        """Where the members are; the clock of the last one is wrong."""
        addresses = [f"{host.inner}:{MEMBER_PORT}" for host in machines]
        if not self._network.namespaces:
            addresses = free_addresses(MEMBERS)
        wrong = "env", *(f"{name}={value}" for name, value in clock(WRONG_SECONDS).items())
        return [
            Member(address, (*host.through, *(wrong if host is machines[-1] else ())))
            for address, host in zip(addresses, machines, strict=True)
        ]

    def _server(self, number: int, mongodb_uri: str, provider_url: str) -> Server:
        return Server(
            self._network.hosts[MEMBERS + number],
            self._folder / f"server-{number + 1}",
            AIBRIDGE_MONGODB_URI=mongodb_uri,
            AIBRIDGE_OPENAI_BASE_URL=provider_url + "v1/",
            AIBRIDGE_OPENAI_KEY="sk-of-the-faults-for-openai",
            AIBRIDGE_ANTHROPIC_BASE_URL=provider_url,
            AIBRIDGE_ANTHROPIC_KEY="sk-of-the-faults-for-anthropic",
            AIBRIDGE_TRUSTED_PROXIES=self._network.front,  # its clients come without TLS
            behind=WRONG_SECONDS if number == SERVERS - 1 and clock(0) else 0,
            **(clock(-WRONG_SECONDS) if number == SERVERS - 1 else {}),
        )


async def _tokens(mongodb_uri: str) -> tuple[str, str]:
    database = Database.connect(mongodb_uri, "aibridge")
    await database.prepare(retention=None)
    identities = Identities(database, now=lambda: datetime.now(UTC), monotonic=time.monotonic)
    tokens = []
    for name in ("greedy", "steady"):
        await identities.add_user(name, role=Role.OWNER)
        tokens.append((await identities.create_token(name))[1])
    database.close()
    return tokens[0], tokens[1]


async def _at_rest(servers: list[Server], token: str) -> list[Any]:
    """Wait until no slot is held, by the word of every server; what is held if that does not come."""
    found: list[Any] = []

    async def nothing() -> bool:
        found.clear()
        for server in servers:
            status, limits = await server.process.get("/api/v2/aibridge/limits", token)
            slots = [one for one in limits.get("limits", []) if "concurrency" in one["name"]]
            if status != 200 or any(one.get("used") or one.get("keys") for one in slots):
                found.append([status, slots])
        return not found

    try:
        await until(nothing, AT_REST_SECONDS)
    except TimeoutError:
        return found
    return []


async def _check_records(report: Report, mongodb_uri: str, traffic: Traffic, provider: TimedProvider) -> None:
    records = Records(mongodb_uri)
    audit = await records.audit(traffic, provider, may_end_as=COMPLETED | {"server_crashed"})
    report.wrong = {name: numbers for name, numbers in asdict(audit).items() if numbers}
    report.calls = {f"recorded as {reason}": number for reason, number in records.end_reasons().items()}
    records.close()


def _check_limits(report: Report, traffic: Traffic, provider: TimedProvider, happened: list[Happened]) -> None:
    sent_at = {seen.call.number: seen.began_at for seen in traffic.seen}
    for group in (GREEDY, STEADY):
        refused = [
            Span(seen.began_at, seen.ended_at)
            for seen in traffic.seen
            if group_of(seen.call.number) == group and seen.status == 429 and RATE_LIMITED in (seen.body or b"")
        ]
        spans = [Span(sent_at[number], at) for number, at in provider.received_at.items() if group_of(number) == group]
        counts = admitted(spans, MEASURED_SECONDS)
        report.over_rate += [count for count in counts if count.number > RATE + _shares(count, happened)]
        report.over_slots += exceeding(at_once(provider.running(group)), USER_MAX_CONCURRENCY)
        if group == GREEDY:
            report.most_in_a_window = max(count.number for count in counts)
            report.full_windows = _full_windows(spans, refused, happened)


def _shares(count: Count, happened: list[Happened]) -> int:
    """By how much a window may exceed the rate: the shares of the servers that may have been cut off in it."""
    window = Span(count.end - WINDOW_SECONDS, count.end)
    touching = [one for one in happened if Span(one.begin, one.end + RETURNED_SECONDS).touches(window)]
    if any(one.whom == "primary" for one in touching):
        return RATE
    cut = {one.whom for one in touching if one.what in {"cut off", "killed", "hung"}}
    return len(cut) * -(-RATE // SERVERS)


def _full_windows(requests: list[Span], refused: list[Span], happened: list[Happened]) -> list[Count]:
    """How many may have been admitted in the windows that were full, as somebody was refused.

    Aside from those in which rates count for longer, or a share is left to a server that is cut off, hangs or was killed.
    """
    longer = {"primary": MOVED_SECONDS + WINDOW_SECONDS}
    moved = [
        Span(one.begin, one.end + longer.get(one.whom, RETURNED_SECONDS + WINDOW_SECONDS))
        for one in happened
        if one.whom == "primary" or one.what in {"cut off", "killed", "hung"}
    ]
    told_soon = [one for one in refused if one.end - one.begin <= SOON_SECONDS]
    full = [one for one in told_soon if not any(one.touches(other) for other in moved)]
    return most_admitted(requests, WINDOW_SECONDS, sorted(full))


def _check_streams(report: Report, servers: list[Server], traffic: Traffic) -> None:
    for number, server in enumerate(servers):
        for seen in traffic.of(number):
            there = not any(Span(seen.began_at, seen.ended_at).touches(down) for down in server.down)
            if seen.status == 200 and not seen.served and there:
                report.cut.append(seen.call.number)
            if seen.status not in {200, 429, 503} and there:
                report.unanswered.append(seen.call.number)


def _tell(report: Report, traffic: Traffic, happened: list[Happened], began: float) -> None:
    report.calls |= Counter(f"status {seen.status}" for seen in traffic.seen)
    report.happened = [one._replace(begin=one.begin - began, end=one.end - began) for one in happened]
    report.over_rate = [count._replace(end=count.end - began) for count in report.over_rate]
    report.full_windows = [count._replace(end=count.end - began) for count in report.full_windows]
    report.over_slots = [count._replace(end=count.end - began) for count in report.over_slots]


def summary(report: Report) -> str:
    full = sorted(count.number for count in report.full_windows) or [0]
    where = (
        "in network namespaces" if report.namespaces else "on loopback, without network namespaces: nobody was cut off"
    )
    clocks = (
        "a member's clock a minute ahead, a server's a minute behind"
        if report.clocks
        else "no libfaketime: clocks right"
    )
    early = sum(number < NEARLY_ALL for number in full)
    windows = f"at least {full[0]}, median {median(full):.0f}; {early} below {NEARLY_ALL}"
    return "\n".join(
        (
            f"{report.seconds:.0f} s {where}; {clocks}; {len(report.happened)} faults",
            f"calls: {dict(sorted(report.calls.items()))}",
            f"most in a window: {report.most_in_a_window} of {RATE}; {len(full)} refused in a full window: {windows}",
            f"not answered although their server was there: {len(report.unanswered)}",
            f"wrong: {report.faults or 'nothing'}",
        )
    )
