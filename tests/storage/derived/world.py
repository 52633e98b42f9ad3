"""A world of random calls: how they end, what happens to them later, and whether all that is derived of them adds up."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from intercept.recording import Recording
from intercept.records import (
    Conversation,
    EndReason,
    ProviderError,
    Reading,
    TokenUsage,
    ToolUsage,
    UserPrompt,
)
from storage.derived.rollup import TOKENS, Bucket
from storage.prices.pricing import PRECISION, Cost, InputRates
from storage.prices.recosting import FOLLOWED, Recosting
from storage.prices.recosts import Recosts
from storage.queries.found import SPEND
from storage.queries.interceptions import Interceptions
from storage.queries.questions.calendar import Period
from storage.queries.questions.question import By, Dimension, Question
from storage.queries.questions.questions import Questions
from storage.recording.documents import ended_document, start_document
from storage.recording.operations import PRESUMED, RecordAction, RecordOperation
from storage.recording.outbox.writer import write_batch
from storage.recording.text_retention import remove_due
from tests.intercept.packed import read_blocks
from tests.storage import rollup_checks, search_checks
from tests.storage.records import INSTANCE, ending, interception
from tests.storage.rollup_checks import MIDNIGHT

ENDS = (*EndReason,)
EXPORTED = {
    Dimension.USER: "initiator_id",
    Dimension.GROUPS: "group_ids",
    Dimension.TOKEN: "api_key_id",
    Dimension.PROVIDER: "provider_name",
    Dimension.MODEL: "model",
    Dimension.CLIENT: "client",
}
EXPORTS = ((), (Dimension.USER,), (Dimension.TOKEN, Dimension.GROUPS), tuple(EXPORTED))
"""By what exports are grouped: the last is told by the records."""
RATES = InputRates(Decimal("3e-7"), Decimal("1e-8"), Decimal("4e-7"))


class World:
    """Calls of a few users over two days, made by `random` in a database."""

    def __init__(self, database, random):
        self._database, self._random = database, random
        self._open = []
        self._presumed = []
        self._made = 0
        self._factor = 1
        self.time = MIDNIGHT + timedelta(days=2)

    def now(self):
        return self.time

    async def go_on(self, number):
        """Let so many calls begin, and others end."""
        for _ in range(number):
            document = self._started()
            how = self._random.random()
            if how < 0.6:
                await self._write(self._end(document))
            else:
                await self._write(RecordOperation.of(RecordAction.START, document["_id"], document))
                self._open.append(document)
            while len(self._open) > 3:
                await self._end_any(self._open.pop(self._random.randrange(len(self._open))))
            if len(self._presumed) > 2 or (self._presumed and how < 0.1):
                await self._write(self._end(self._presumed.pop(0)))

    async def price_again(self):
        self._factor += 1
        jobs, work = Recosts(self._database, now=self.now), self._recosting()
        await jobs.request(MIDNIGHT - timedelta(days=1), MIDNIGHT + timedelta(days=9))
        self.time += FOLLOWED
        while not (await jobs.list_newest())[0].ended_at:
            await work.step()

    async def remove_texts(self):
        self.time += timedelta(hours=1)

        async def no_pause(_):
            pass

        await remove_due(self._database, now=self.now, pause=no_pause)

    def _recosting(self):
        async def version():
            return str(self._factor)

        def cost_of(provider_name, model, usages, at):
            return self._cost(usages)

        return Recosting(self._database, cost_of, version, holder=UUID(int=1), now=self.now)

    def _cost(self, usages):
        if not usages:
            return None
        tokens = sum(usage.input_tokens + usage.output_tokens for usage in usages)
        usd = (Decimal(tokens * self._factor).scaleb(-6)).quantize(PRECISION)
        return Cost(usd, f"prices {self._factor}", RATES if tokens % 2 else None)

    def _started(self):
        random, self._made = self._random, self._made + 1
        number = self._made
        before = random.randint(max(1, number - 5), number)
        retention = Recording(retention=1) if random.random() < 0.2 else None
        record = interception(
            id=UUID(int=number),
            api_key_id=random.choice(("abcdefghij", "klmnopqrst")),
            initiator_id=UUID(int=random.randint(1, 3)),
            provider_name=random.choice(("openai", "azure")),
            model=random.choice(("gpt-5", "gpt-5-mini")),
            client=random.choice(("Codex", "Zed")),
            client_session_id=random.choice((None, None, "a", "b")),
            started_at=MIDNIGHT + timedelta(seconds=7 * number + random.randint(0, 20)),
            group_ids=random.choice(((), (UUID(int=77),), (UUID(int=77), UUID(int=78)))),
            tags=random.choice(({}, {"project": "apollo"}, {"project": "zeus", "env": "ci"})),
            user_prompt=UserPrompt(prompt=f"prompt {number}") if random.random() < 0.8 else None,
            answered_tool_call_id=f"call_{before}" if random.random() < 0.4 else None,
            conversation=Conversation(key=b"%d" % number, continues=b"%d" % before if random.random() < 0.3 else None),
            blocks=read_blocks(b'{"messages":[1]}') if random.random() < 0.3 else None,
            recording=retention,
        )
        return start_document(record, instance_id=INSTANCE)

    async def _end_any(self, document):
        if self._random.random() < 0.3:
            await self._write(self._end(document, EndReason.SERVER_CRASHED))
            self._presumed.append(document)
        else:
            await self._write(self._end(document))

    def _end(self, document, reason=None):
        random, number = self._random, document["_id"].int
        is_presumed, reason = reason is not None, reason or random.choice(ENDS)
        usage = TokenUsage(
            provider_response_id="r",
            input_tokens=random.randint(0, 9),
            output_tokens=random.randint(0, 9),
            cache_read_input_tokens=random.randint(0, 9),
            cache_write_input_tokens=random.randint(0, 9),
        )
        usages = (usage,) if random.random() < 0.8 and not is_presumed else ()
        tools = [
            ToolUsage(provider_response_id="r", provider_tool_call_id=f"call_{number}", tool=tool, input="{}")
            for tool in random.choice(((), ("Bash",), ("Bash", "Read")))
        ]
        took = random.choice((0, 0.5, 3, 40, 4_000))
        completed = reason is EndReason.COMPLETED
        record = ending(
            interception_id=document["_id"],
            end_reason=reason,
            provider="azure" if random.random() < 0.2 and not is_presumed else "",
            provider_name="eastus" if random.random() < 0.2 and not is_presumed else "",
            ended_at=document["started_at"] + timedelta(seconds=took),
            upstream_asked_at=document["started_at"],
            first_byte_at=random.choice((None, document["started_at"] + timedelta(seconds=took / 2))),
            upstream_status=200 if completed else random.choice((None, 429, 500)),
            error=None if completed else ProviderError(type=random.choice(("a", "b")), message="Busy"),
            reading=Reading(token_usages=usages, tool_usages=() if is_presumed else tuple(tools)),
        )
        ended = ended_document(document, record, cost=self._cost(usages))
        if is_presumed:
            return RecordOperation.of(RecordAction.PRESUMED_END, document["_id"], {**ended, **PRESUMED})
        return RecordOperation.of(RecordAction.END, document["_id"], ended)

    async def _write(self, operation):
        assert await write_batch(self._database, [operation], seconds=10) == []

    async def adds_up(self):
        """Whether rollups, sessions, the search index and exports are what the calls add up to."""
        await rollup_checks.has_counted_all(self._database)
        await search_checks.has_indexed_all(self._database)
        assert await sessions(self._database) == await expected_sessions(self._database)
        await has_exported_all(self._database)


async def sessions(database):
    names = ("interceptions", "failures", "threads", "priced", "unpriced", "no_usage", "lost_tokens", "retries")
    names += ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
    found = {}
    async for one in database.sessions.find():
        texts = [one[name] for name in ("first_prompt", "last_prompt") if one[name]]
        assert all([await database.interceptions.find_one({"user_prompts.prompt": text}) for text in texts])
        found[one["_id"]] = {name: one[name] for name in names}
        found[one["_id"]] |= {name: one[name].to_decimal() for name in ("cost", "saved", "lost")}
    return found


async def expected_sessions(database):
    found = defaultdict(lambda: defaultdict(int))
    async for call in database.interceptions.find({"status": {"$ne": "in_flight"}}):
        session, loss = found[call["session_id"]], call.get("cache_loss", {})
        totals = rollup_checks.totals_of_call(call)
        for name in ("interceptions", "priced", "unpriced", "no_usage", "cost", *TOKENS):
            session[name] += totals[name]
        session["saved"] += totals.get("saved", 0)
        session["failures"] += totals["failed"]
        session["threads"] += "root_id" not in call
        session["retries"] += "attempt" in call
        session["lost_tokens"] += loss.get("lost_tokens", 0)
        session["lost"] += loss["lost"].to_decimal() if loss.get("lost") else 0
    return {id_: dict(sums) for id_, sums in found.items()}


async def has_exported_all(database):
    """Whether what calls cost is exported to the last digit, from rollups and records, and each call once."""
    database.health.find()
    for by in EXPORTS:
        question = Question(MIDNIGHT, MIDNIGHT + timedelta(days=9), by=tuple(map(By, by)), period=Period.DAY)
        assert await exported(database, question) == await expected_export(database, by), by
    ended = {"status": {"$in": ["completed", "failed"]}}
    pages = Interceptions(database).pages(ended, visible_to=None)
    found = [call["_id"] async for page in pages for call in page]
    newest_first = database.interceptions.find(ended).sort([("started_at", -1), ("_id", -1)])
    assert found == [call["_id"] async for call in newest_first]


async def exported(database, question):
    """The figures that each row of an export of what calls cost has, by its day and what it is about."""
    rows = [row async for page in Questions(database).pages(question, SPEND) for row in page]
    found = {(row.at, *row.key): {name: number for name, number in row.totals.items() if number} for row in rows}
    assert len(found) == len(rows)
    return {about: figures for about, figures in found.items() if figures}


async def expected_export(database, by):
    found = defaultdict(lambda: defaultdict(int))
    async for call in database.interceptions.find({"status": {"$ne": "in_flight"}}):
        day = Bucket.DAY.floor(call["started_at"])
        values = [tuple(call.get("group_ids", ())) if one is Dimension.GROUPS else call[EXPORTED[one]] for one in by]
        for name, number in rollup_checks.totals_of_call(call).items():
            if number and name in SPEND:
                found[day, *values][name] += number
    return {about: dict(figures) for about, figures in found.items()}
