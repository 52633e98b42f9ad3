"""What is in the database that the golden files are made from. Ids, times, users and tokens are fixed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from intercept.agents import Agent
from intercept.records import (
    CredentialKind,
    EndReason,
    ModelThought,
    ProviderError,
    ProviderPrice,
    Reading,
    TokenUsage,
    ToolUsage,
    UsageSource,
    UserPrompt,
)
from intercept.refusals import Refusal, Rule
from storage.accounts.tokens import digest
from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.session_job import SessionJob
from storage.aggregation.threads import Threads
from storage.recording.documents import ending_fields, start_document
from storage.recording.operations import Action, Operation
from storage.recording.outbox.batch import write_batch
from storage.recording.prices import Cost
from tests.storage.records import INSTANCE, NOON, counting_ids, ending, interception

NOW = NOON + timedelta(minutes=30)
ADA, GRACE, AUDREY, GONE = (UUID(int=0xADA0 + number) for number in range(4))
USERS = {
    ADA: ("ada", "Ada Lovelace", "owner"),
    GRACE: ("grace", "Grace Hopper", "member"),
    AUDREY: ("audrey", "Audrey Tang", "auditor"),
    GONE: ("gone", "Gone", "member"),
}
TOKENS = {"ada": "tokenOfAda", "grace": "tokenGrace", "audrey": "tokenAudry", "gone": "tokenGone0"}
SECRET = "0123456789abcdefghijkl"
EXPIRED, REVOKED, BROWSER = "tokenExpir", "tokenRevok", "sessionGra"


def token_of(name):
    return f"{TOKENS[name]}-{SECRET}"


def _interception(number, **changes):
    started = {"id": UUID(int=number), "initiator_id": ADA, "started_at": NOON + timedelta(minutes=number)}
    return interception(**(started | {"api_key_id": TOKENS["ada"]} | changes))


def _ending(number, **changes):
    at = NOON + timedelta(minutes=number)
    times = {
        "upstream_asked_at": at + timedelta(milliseconds=50),
        "first_byte_at": at + timedelta(seconds=1),
        "ended_at": at + timedelta(seconds=2, milliseconds=5),
    }
    return ending(**({"interception_id": UUID(int=number)} | times | changes))


FULL = Reading(
    response_id="msg_1",
    complete=True,
    truncated=True,
    token_usages=(
        TokenUsage(
            provider_response_id="msg_1",
            input_tokens=1200,
            output_tokens=34,
            cache_read_input_tokens=2**40,
            cache_write_input_tokens=0,
            price=ProviderPrice(usd=Decimal("0.25"), source="cost"),
            usage={"input_tokens": 1200, "service_tier": "standard", "nested": {"ratio": 0.5, "none": None}},
        ),
        TokenUsage(provider_response_id="msg_2", output_tokens=5, source=UsageSource.PARTIAL),
    ),
    tool_usages=(
        ToolUsage(provider_response_id="msg_1", provider_tool_call_id="call_1", tool="ls", input='{"path": "/"}'),
        ToolUsage(
            provider_response_id="msg_1",
            provider_tool_call_id="call_2",
            tool="search",
            input="{",
            server_url="https://tools.example/mcp",
            invocation_error="denied",
            injected=True,
            truncated=True,
        ),
    ),
    model_thoughts=(
        ModelThought(content="Let me see", source="thinking"),
        ModelThought(content="Grüße …", source="reasoning_summary", truncated=True),
    ),
)
SAID = Agent(id="agent-2", parent_id="agent-1", hints={"request_class": "subagent"})
CALLS = [
    (
        _interception(
            1,
            provider="anthropic",
            provider_name="anthropic",
            route="/v1/messages",
            model="claude-sonnet-4-5",
            client="Claude Code",
            client_session_id=None,
            agent=SAID,
            user_prompt=UserPrompt(prompt='List "files",\nplease 🙂', truncated=True, synthetic=True),
        ),
        _ending(1, credential_hint="sk-b...1234", reading=FULL),
        Cost(Decimal("0.001500"), "prices of 2026-02"),
    ),
    (_interception(2, client_session_id=None, answered_tool_call_id="call_1"), _ending(2), None),
    (
        _interception(
            3,
            initiator_id=GRACE,
            api_key_id=TOKENS["grace"],
            streaming=False,
            client="Unknown",
            client_session_id="=1+1",
            user_agent="=cmd()",
            credential_kind=CredentialKind.BYOK,
            user_prompt=None,
        ),
        _ending(
            3,
            end_reason=EndReason.UPSTREAM_ERROR,
            upstream_status=529,
            upstream_request_id=None,
            error=ProviderError(type="overloaded_error", message="Overloaded"),
            reading=Reading(),
        ),
        None,
    ),
    (
        _interception(4, initiator_id=GONE, api_key_id=TOKENS["gone"]),
        _ending(
            4,
            end_reason=EndReason.UPSTREAM_UNREACHABLE,
            upstream_status=None,
            upstream_request_id=None,
            upstream_asked_at=None,
            first_byte_at=None,
            reading=Reading(),
        ),
        None,
    ),
    (_interception(5), _ending(5), Cost(Decimal(0), "prices of 2026-02")),
    (_interception(6), None, None),
]
REFUSALS = [
    Refusal(rule=Rule.NO_TOKEN, status=401, client_ip="192.0.2.7"),
    Refusal(
        rule=Rule.USER_RATE,
        status=429,
        initiator_id=GRACE,
        api_key_id=TOKENS["grace"],
        provider="openai",
        route="/v1/responses",
        model="gpt-5",
        retry_after_ms=1500,
    ),
]


def start_of(record, new_id):
    """What the start of a call writes."""
    document = start_document(record, instance_id=INSTANCE, new_id=new_id)
    return Operation(Action.START, document.pop("_id"), document)


async def seed(database):
    """Fill a database; what was in it of users, tokens and their changes goes."""
    for collection in (database.users, database.tokens, database.audit):
        await collection.delete_many({})
    for number, (id_, (name, display_name, role)) in enumerate(USERS.items()):
        at = NOON - timedelta(days=10 - number)
        names = {"username": name, "display_name": display_name, "role": role}
        removed = {"removed_at": NOON if id_ == GONE else None}
        await database.users.insert_one({"_id": id_, "schema_version": 1, **names, "created_at": at, **removed})
        await database.tokens.insert_one(_token(TOKENS[name], id_, at, name=f"of {name}"))
    day = timedelta(days=1)
    await database.tokens.insert_one(_token(EXPIRED, GRACE, NOON - 2 * day, expires_at=NOON - day))
    await database.tokens.insert_one(_token(REVOKED, GRACE, NOON - 3 * day, revoked_at=NOON))
    await database.sign_in_sessions.insert_one(_browser())
    await database.audit.insert_many(_trail())
    new_id = counting_ids()
    operations = []
    for record, end, cost in CALLS:
        operations.append(start_of(record, new_id))
        if end is not None:
            operations.append(Operation(Action.END, record.id, ending_fields(end, new_id=new_id, cost=cost)))
    await write_batch(database, operations, seconds=5)
    await Threads(database, now=lambda: NOW).link_pending()
    await RollupJob(database, now=lambda: NOW).add_pending()
    await SessionJob(database).add_pending()
    for number, refusal in enumerate(REFUSALS):
        recorder = RefusalRecorder(database, now=lambda number=number: NOON - timedelta(hours=number))
        for _ in range(number + 1):
            recorder.note(refusal)
        await recorder.flush()


def _token(id_, user_id, at, *, name="", expires_at=None, revoked_at=None):
    ends = {"expires_at": expires_at, "revoked_at": revoked_at}
    known = {"_id": id_, "user_id": user_id, "name": name, "secret_sha256": digest(SECRET)}
    return known | {"schema_version": 1, "created_at": at} | ends


def _browser():
    known = {"_id": BROWSER, "user_id": GRACE, "token_id": TOKENS["grace"], "secret_sha256": digest(SECRET)}
    times = {"created_at": NOON, "last_used_at": NOON, "expires_at": NOON + timedelta(days=1)}
    return known | times | {"schema_version": 1, "client_ip": "192.0.2.7", "user_agent": "Firefox"}


def _trail():
    ada, grace = ({"id": id_, "username": USERS[id_][0]} for id_ in (ADA, GRACE))
    command_line, unknown = ({"id": None, "username": name} for name in ("command line", "unknown caller"))
    by_ada = ada | {"token_id": TOKENS["ada"]}
    expiry = {"token_id": EXPIRED, "name": "", "expires_at": NOON}
    refused = {"reason": "unknown", "plane": "data", "count": 3, "last_at": NOON}
    for number, (actor, action, subject, detail, address) in enumerate(
        [
            (command_line, "user.added", ada, {"role": "owner", "name": "Ada Lovelace"}, None),
            (by_ada, "user.changed", grace, {"role": "member", "role_before": "auditor"}, "192.0.2.7"),
            (by_ada, "token.created", grace, expiry, "192.0.2.7"),
            (unknown, "authentication.failed", None, refused, "2001:db8::/64"),
        ],
        start=1,
    ):
        yield {
            "_id": UUID(int=0xAD170 + number),
            "schema_version": 1,
            "at": NOON + timedelta(minutes=number),
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": detail,
            "client_ip": address,
        }
