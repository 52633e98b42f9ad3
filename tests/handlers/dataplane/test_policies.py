"""What policies mean for calls: who is refused, what they are told, and what is kept of it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from urllib.parse import urlencode

import pytest

from handlers.api.sign_in.devices import GRANT_TYPE
from intercept.recording import Keep
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import (
    Budget,
    ModelPattern,
    Models,
    Policy,
    PolicyLimits,
    Rate,
    RecordingRules,
    SharedLimits,
    SharedPolicy,
    TokenLimit,
)
from settings import ProviderSettings
from storage.policies.documents import KeptPolicy
from storage.recording.recorder import MAX_REDACTING_OF_USER
from tests.bridge import until
from tests.handlers.conversations import ALL, CHAT, MESSAGES, RESPONSES
from tests.handlers.dataplane.test_call_usage import OPUS, OPUS_MICRO_DOLLARS, whole
from upstream.providers.presets import ProviderType

API = "/api/v2/aibridge"
EVERYONE = PolicyHolder(Level.EVERYONE)
ADVISOR = {"type": "advisor_20260301", "name": "advisor"}
OPENROUTERS = {"type": "openrouter:advisor"}
OTHER_TOOL = {"name": "Read", "input_schema": {"properties": {"model": {"type": "string"}}}}
DEEP_TOOL = {
    "name": "Deep",
    "input_schema": {"a": {"b": {"c": {"d": {"enum": ["a", "b"]}}}}},
    "description": "x" * 9_000,
}


def hold(running, policy, source=EVERYONE):
    """Have a policy hold from now on."""
    running.bridge.policies.put(KeptPolicy(source, policy, "1"))


def own(running):
    return PolicyHolder(Level.USER, str(running.identity.user.id), "ada")


async def refused(running, conversation, headers=None):
    """A refusal: nothing reached the provider, and nothing is held."""
    before = len(running.upstream.requests)
    response = await running.call(conversation, headers)
    assert len(running.upstream.requests) == before
    assert running.bridge.overload.holding == 0
    return response


async def rows(running):
    await running.bridge.refusal_recorder.flush()
    _, listed = await running.get("/api/v2/aibridge/refusals")
    return [(row["rule"], row["status"], row.get("policy"), row.get("shadow")) for row in listed["results"]]


async def test_a_model_that_is_not_allowed_is_refused_in_the_dialect_with_the_rule(running):
    research = PolicyHolder(Level.GROUP, "g", "research")
    group = await running.bridge.groups.add("research")
    await running.bridge.groups.add_members("research", ["ada"])
    hold(running, SharedPolicy(models=Models(allow=["claude-*"])), research._replace(key=str(group.id)))
    response = await refused(running, CHAT)
    model = CHAT.request["model"]
    message = f'The model "{model}" of openai may not be used here: group research allows claude-*.'
    assert (response.status, response.header("x-should-retry")) == (403, "false")
    assert json.loads(response.body) == {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": "permission_denied"},
        "message": message,
    }
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    hold(running, Policy(models=Models(deny=["*OPUS*"])), own(running))
    response = await refused(running, OPUS)
    error = json.loads(response.body)["error"]
    assert (response.status, error["type"]) == (403, "permission_error")
    assert error["message"].endswith("may not be used here: user ada denies *OPUS*.")
    assert await rows(running) == [
        ("model_not_allowed", 403, "user ada", None),
        ("model_not_allowed", 403, "group research", None),
    ]
    await running.ended(1)


async def test_an_image_without_a_model_gets_round_no_policy(running):
    running.upstream.play(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    as_form, field = (
        {"Content-Type": "multipart/form-data; boundary=b"},
        b"--b\r\nContent-Disposition: form-data; name=",
    )
    form = field + b"prompt\r\n\r\nA cat\r\n--b--\r\n"
    sent = (
        ("generations", {}, b'{"prompt": "A cat", "quality": "high"}', 403),
        ("generations", {}, b'{"prompt": "A cat", "model": "dall-e-2"}', 200),
        ("edits", as_form, form, 403),
        ("edits", as_form, field + b"model\r\n\r\ndall-e-2\r\n" + form, 200),
    )
    for models, holds in ((Models(deny=["gpt-image-*"]), True), (Models(allow=["*"]), False)):
        hold(running, SharedPolicy(models=models))
        for name, headers, body, status in sent:
            path = f"/api/v2/aibridge/openai/v1/images/{name}"
            response = await running.request("POST", path, running.headers | headers, body)
            assert response.status == (status if holds else 200), (models, name, body)


async def test_further_models_of_a_request_get_round_no_policy(running):
    prompt = "hi"
    hold(running, SharedPolicy(models=Models(deny=["dear-*"])))
    asking = replace(CHAT, request=CHAT.request | {"messages": [{"role": "user", "content": prompt}]})
    denied = 'The model "dear-1" of openai may not be used here: everyone denies dear-*.'
    unread = (
        "A request to openai must name its model here, and at most 64 in `models`, `fallbacks`, `plugins` and `tools`, "
        "as not all may be used: "
    )
    for more, message in (
        ({"models": ["cheap", "dear-1"]}, denied),
        ({"fallbacks": [{"model": "cheap"}, {"model": "dear-1", "max_tokens": 5}]}, denied),
        ({"fallbacks": ["dear-1"], "models": None}, denied),
        ({"models": ["cheap"] * 65}, unread + "everyone denies dear-*."),
        ({"models": ["cheap"] * 64}, None),
        ({"models": ["cheap" * 100]}, unread + "everyone denies dear-*."),
        ({"models": {"first": "dear-1"}}, unread + "everyone denies dear-*."),
        ({"models": [""]}, unread + "everyone denies dear-*."),
        ({"models": [], "fallbacks": [{"model": "cheap"}]}, None),
        ({"tools": [OTHER_TOOL, ADVISOR | {"model": "dear-1"}]}, denied),
        ({"tools": [OTHER_TOOL, {"type": "image_generation", "model": "dear-1"}]}, denied),
        ({"tools": [{"type": "image_generation", "model": "cheap", "svg": {"model": "dear-1"}}]}, denied),
        ({"tools": [{"type": "image_generation", "svg": "dear-1"}]}, unread + "everyone denies dear-*."),
        ({"tools": [{"type": "image_generation", "svg": {}}]}, None),
        ({"tools": [ADVISOR | {"model": "cheap" * 100}]}, unread + "everyone denies dear-*."),
        ({"tools": [DEEP_TOOL] * 40 + [ADVISOR | {"model": "dear-1"}] + [DEEP_TOOL] * 40}, denied),
        ({"tools": [DEEP_TOOL] * 80}, None),
        ({"tools": [ADVISOR | {"model": "cheap"}] * 65}, unread + "everyone denies dear-*."),
        ({"tools": [OPENROUTERS | {"parameters": {"model": "cheap"}}]}, unread + "everyone denies dear-*."),
        ({"tools": [OPENROUTERS | {"parameters": {"max_results": 3}}]}, None),
        ({"tools": [{"type": "openrouter:fusion"}]}, unread + "everyone denies dear-*."),
        ({"plugins": [{"id": "web"}, {"id": "fusion"}]}, unread + "everyone denies dear-*."),
        ({"plugins": [{"id": "auto-router", "allowed_models": ["dear-1"]}]}, unread + "everyone denies dear-*."),
        ({"plugins": [{"id": "web", "max_results": 3}]}, None),
        ({"plugins": None}, None),
        ({"tools": [ADVISOR | {"model": "cheap"}, {"type": "image_generation"}, OTHER_TOOL]}, None),
    ):
        request = replace(asking, request=asking.request | more)
        if message is None:
            running.upstream.play(whole(request))
            response = await running.call(request)
            assert response.status == 200, more
        else:
            response = await refused(running, request)
            assert (response.status, json.loads(response.body)["message"]) == (403, message), more
    tool = {"type": "image_generation", "model": "dear-1"}
    for item in (
        {"type": "additional_tools", "role": "developer", "tools": [OTHER_TOOL, tool]},
        {"type": "tool_search_output", "call_id": "c", "tools": [tool]},
    ):
        asked = {"model": "cheap"}
        said = {"type": "message", "role": "user", "content": prompt}
        answer = await refused(running, replace(RESPONSES, request=asked | {"input": [said] * 9 + [item] + [said] * 9}))
        message = json.loads(answer.body)["message"]
        assert (answer.status, message) == (403, denied), message
    hold(running, SharedPolicy(models=Models(unpriced="deny")))
    response = await refused(running, replace(asking, request=asking.request | {"models": 5}))
    assert json.loads(response.body)["message"] == unread + "everyone denies models without a known price."
    hold(running, SharedPolicy())
    running.upstream.play(whole(asking))
    assert (await running.call(replace(asking, request=asking.request | {"models": 5}))).status == 200


async def test_no_batch_gets_round_a_policy_of_models_and_no_model_without_a_price(running):
    # a batch whose models nobody reads gets round no policy of models
    request = {"custom_id": "one", "params": MESSAGES.request}
    batch = replace(MESSAGES, path="/v1/messages/batches", request={"requests": [request]}, body=b'{"id": "batch_1"}')
    said = "Batches of {} may not be created here, as nobody reads which models they ask for: {}."
    for models, provider, rule in (
        (Models(deny=["x-*", ModelPattern("anthropic", "y")]), "anthropic", "everyone denies x-*"),
        (Models(allow=["claude-*"]), "anthropic", "everyone allows claude-*"),
    ):
        hold(running, SharedPolicy(models=models))
        response = await refused(running, batch)
        message = json.loads(response.body)["error"]["message"]
        assert (response.status, message) == (403, said.format(provider, rule))
    assert (await rows(running))[0] == ("model_not_allowed", 403, "everyone", None)
    hold(running, SharedPolicy(models=Models(unpriced="deny")))
    response = await refused(running, batch)
    message = json.loads(response.body)["error"]["message"]
    unpriced = "everyone denies models without a known price"
    assert (response.status, message) == (403, said.format("anthropic", unpriced))
    every = ["gpt-*", ModelPattern("Anthropic")]
    hold(running, SharedPolicy(models=Models(allow=every, deny=[ModelPattern("openai", "gpt-*")])))
    running.upstream.play(whole(batch))
    assert (await running.call(batch)).status == 200
    await running.ended(1)
    await running.afresh("refusals")
    # a model without a price is refused where the bridge would pay
    hold(running, SharedPolicy(models=Models(unpriced="deny")))
    response = await refused(running, CHAT)
    message = 'The model "m" of openai may not be used here: everyone denies models without a known price.'
    assert (response.status, json.loads(response.body)["message"]) == (403, message)
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    running.upstream.play(whole(CHAT))
    assert (await running.call(CHAT, running.own_key)).status == 200
    _, explained = await running.get("/api/v2/aibridge/users/me/policy?model=m&provider=openai")
    rule = "everyone denies models without a known price"
    assert explained["decisions"] == [{"provider": "openai", "allowed": False, "rule": rule}]
    await running.ended(2)


async def test_a_request_may_ask_for_so_many_tokens_and_no_more(running):
    hold(running, SharedPolicy(max_tokens=1000))
    asking = replace(MESSAGES, request=MESSAGES.request | {"max_tokens": 1001})
    response = await refused(running, asking)
    assert (response.status, response.header("x-should-retry"), json.loads(response.body)["message"]) == (
        *(400, "false"),
        "The request asks for 1,001 tokens; everyone allows 1,000 at most.",
    )
    assert await rows(running) == [("too_many_tokens", 400, "everyone", None)]
    allowed = replace(MESSAGES, request=MESSAGES.request | {"max_tokens": 1000})
    running.upstream.play(whole(allowed))
    assert (await running.call(allowed)).status == 200
    assert json.loads(running.upstream.requests[-1].body)["max_tokens"] == 1000
    await running.ended(1)


ODD_COUNTS = (
    *(b'"max_tokens": 64000.0', b'"max_tokens": 6.4e4', b'"max_tokens": "64000"', b'"max_tokens": 64000000000'),
    *(b'"max_tokens": 10, "Max_Tokens": 64000', b'"max_tokens": 10, " max_tokens": 64000'),
    *(b'"max_tokens": 64000, "max_tokens": 10', b'"max_tokens": 10, "n": "9"', b'"maxtokens": 10'),
)
ODD_MODELS = (
    *(b'"model": " m"', b'"model": "m\\u00a0"', b'"model": "m\\t"', b'"model": "m", "Models": ["x"]'),
    *(b'"model": "m", " fallbacks": [{"model": "x"}]', b'"model": "m", "TOOLS": []'),
)


async def answer_to(running, conversation, members):
    """The status and the message for a body of these members."""
    body = b'{"messages": [{"role": "user", "content": "Hello"}], %b}' % members
    running.upstream.play(whole(conversation))
    response = await running.request("POST", running.path(conversation), running.headers, body)
    return response.status, response.body.decode()


async def test_a_number_of_tokens_in_an_odd_form_is_refused_where_a_policy_reads_it(running):
    for policy in (SharedPolicy(max_tokens=1000), Policy(limits=PolicyLimits(budget=Budget(5, "month", reserve=True)))):
        hold(running, policy, own(running) if isinstance(policy, Policy) else EVERYONE)
        for members in ODD_COUNTS:
            for conversation in (CHAT, OPUS):
                status, said = await answer_to(running, conversation, b'"model": "claude-opus-4-1", ' + members)
                assert (status, "in an unusual form" in said) == (400, True), members
        assert running.upstream.requests == []
        assert running.bridge.overload.holding == 0
        hold(running, SharedPolicy())
    hold(running, Policy(), own(running))
    for members in ODD_COUNTS:
        assert (await answer_to(running, CHAT, b'"model": "m", ' + members))[0] == 200, members


async def test_a_model_in_an_odd_form_is_refused_where_a_policy_reads_it(running):
    for models in (Models(deny=["gpt-*"]), Models(allow=["m"]), Models(unpriced="deny")):
        hold(running, SharedPolicy(models=models))
        for members in ODD_MODELS:
            status, said = await answer_to(running, CHAT, members)
            assert (status, "in an unusual form" in said) == (400, True), members
    assert running.upstream.requests == []
    hold(running, SharedPolicy(max_tokens=9))
    for members in ODD_MODELS:
        assert (await answer_to(running, CHAT, members))[0] == 200, members


@pytest.mark.bridge(
    further_providers=(ProviderSettings("bedrock", ProviderType.BEDROCK, "", ("bedrock-key",), "keys"),)
)
async def test_every_place_of_a_request_to_bedrock_is_read_for_a_policy(running):
    providers = running.bridge.providers
    providers["bedrock"] = replace(providers["bedrock"], base_url=running.upstream.url)
    hold(running, SharedPolicy(models=Models(deny=["dear-*"]), max_tokens=1000))
    advisor = [ADVISOR | {"model": "dear-1"}]
    running.upstream.play(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    for path, members, status in (
        ("converse", {"max_tokens": 10, "inferenceConfig": {"maxTokens": 64000}}, 400),
        ("converse", {"additionalModelRequestFields": {"max_tokens": 64000}}, 400),
        ("converse", {"additionalModelRequestFields": {"tools": advisor}}, 403),
        ("invoke", {"max_tokens": 10, "tools": advisor}, 403),
        ("invoke", {"textGenerationConfig": {"maxTokenCount": 64000}}, 400),
        ("converse", {"inferenceConfig": {"maxTokens": 1000}, "additionalModelRequestFields": {"top_k": 3}}, 200),
    ):
        url = f"/api/v2/aibridge/bedrock/model/m/{path}"
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]} | members).encode()
        response = await running.request("POST", url, running.headers, body)
        assert response.status == status, (members, response.body)
    assert len(running.upstream.requests) == 1
    await running.ended(1)


async def test_a_policy_holds_for_own_keys_in_every_dialect_and_nothing_before_it_is_read(running, monkeypatch):
    # an own key that a policy denies is refused
    hold(running, SharedPolicy(byok="deny"))
    response = await refused(running, CHAT, running.own_key)
    assert (response.status, json.loads(response.body)["message"]) == (
        403,
        "Bring Your Own Key (BYOK) is not allowed here: everyone denies byok.",
    )
    assert await rows(running) == [("own_key_not_allowed", 403, "everyone", None)]
    # nor does one pass under a name that only the provider knows, and what is named alike and is none does
    hidden = {"Ocp-Apim-Subscription-Key": "own", "X_LiteLLM_API_Key": "own", "X-Amz-Auth": "own"}
    query = "?api-key=own&api_key=own&subscription%2Dkey=own&pageToken=2&api-version=1&accessToken=own"
    plain = {"Idempotency-Key": "once", "Anthropic-Beta": "a"}
    running.upstream.play(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await running.request("GET", f"/api/v2/aibridge/openai/v1/models{query}", running.headers | hidden | plain)
    sent = running.upstream.requests[-1]
    assert sent.target == "/v1/models?pageToken=2&api-version=1"
    assert [value for _, value in sent.headers if value in ("own", "once", "a")] == ["once", "a"]
    await running.afresh("refusals")
    # no dialect gets round the models of a policy
    hold(running, SharedPolicy(models=Models(deny=["*"])))
    assert [(await refused(running, conversation)).status for conversation in ALL] == [403] * len(ALL)
    await running.afresh("refusals")
    # a file is no model and may be sent whatever models are allowed
    upload = replace(CHAT, path="/v1/uploads", request={"filename": "a.pdf"}, body=b'{"id": "upload_1"}')
    hold(running, SharedPolicy(models=Models(allow=["gpt-5*"], deny=["*-preview"])))
    running.upstream.play(whole(upload))
    assert (await running.call(upload)).status == 200
    await running.ended(1)
    await running.afresh("refusals")
    # before the policies were read nothing is admitted
    monkeypatch.setattr(running.bridge.policies.followed, "value", None)
    response = await refused(running, CHAT)
    assert (response.status, response.header("Retry-After"), json.loads(response.body)["message"]) == (
        *(503, "1"),
        "The policies cannot be read at the moment. Please try again later.",
    )
    _, ready = await running.get("/readyz")
    assert ready["policies"] == "not read yet: nothing is admitted"


async def test_a_rate_of_a_policy_is_told_with_whose_it_is_and_the_wait(running):
    hold(running, SharedPolicy(limits=SharedLimits(together=PolicyLimits(rate=Rate(1, "1h")))))
    running.upstream.play(whole(CHAT))
    response = await running.call(CHAT)
    assert (response.status, response.header("X-RateLimit-Remaining")) == (200, "0")
    response = await refused(running, CHAT)
    assert (response.status, response.header("X-RateLimit-Limit")) == (429, "1")
    assert json.loads(response.body)["message"] == (
        "A limit of the policy of everyone is reached. "
        "Your group has started 1 of 1 requests in 1h0m0s; the next request may start in 1h0m0s."
    )
    assert await rows(running) == [("policy_rate", 429, "everyone", None)]
    await running.ended(1)


async def test_calls_are_charged_to_the_budgets_and_tokens_of_every_level(running):
    budget = Budget("0.0001", "month")
    hold(
        running,
        SharedPolicy(limits=SharedLimits(together=PolicyLimits(budget=Budget(5, "day"), tokens=TokenLimit(99, "1h")))),
    )
    hold(running, Policy(limits=PolicyLimits(budget=budget)), own(running))
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    cost = OPUS_MICRO_DOLLARS
    effective = running.bridge.policies.find(running.identity)
    limits = effective.before_body(pays=False)
    states = await running.bridge.overload.states(limits)
    assert [(one.limit.kind.value, one.used) for one in states] == [("tokens", 10), ("budget", cost), ("budget", cost)]
    response = await refused(running, OPUS)
    message = "AI budget of US$0.0001 exceeded. Please contact an administrator for more details."
    assert (response.status, json.loads(response.body)["error"]["message"]) == (403, message)
    assert await rows(running) == [("policy_budget", 403, "user ada", None)]
    assert [one.used for one in await running.bridge.overload.states(limits)] == [one.used for one in states]
    await running.ended(1)


@pytest.mark.bridge(support_contact="ai-help@example.com")
async def test_a_refusal_by_a_policy_says_whom_to_ask_where_the_server_knows_it(running):
    said = "Contact: ai-help@example.com."
    for policy in (Policy(models=Models(deny=["*"])), Policy(limits=PolicyLimits(budget=Budget(0, "month")))):
        hold(running, policy, own(running))
        response = await refused(running, OPUS)
        assert json.loads(response.body)["error"]["message"].endswith(f". {said}")
    await running.bridge.refusal_recorder.flush()
    _, listed = await running.get(f"{API}/refusals")
    assert [row["message"].endswith(said) for row in listed["results"]] == [True, True]
    unknown = await running.request("POST", f"{API}/anthropic/v1/messages", {})
    assert said not in unknown.body.decode()


async def test_a_shadow_limit_refuses_nothing_and_counts_what_it_would_have_refused(running):
    limits = SharedLimits(each_member=PolicyLimits(rate=Rate(1, "1h", shadow=True)))
    hold(running, SharedPolicy(limits=limits))
    for _ in range(3):
        running.upstream.play(whole(CHAT))
        assert (await running.call(CHAT)).status == 200
    await running.bridge.refusal_recorder.flush()
    _, listed = await running.get("/api/v2/aibridge/refusals?q=shadow:true")
    (row,) = listed["results"]
    assert (row["rule"], row["status"], row["policy"], row["shadow"], row["more"]) == (
        *("policy_rate", 429, "everyone", True),
        1,
    )
    assert (await running.get("/api/v2/aibridge/refusals?q=shadow:false"))[1]["count"] == 0
    status, error = await running.get("/api/v2/aibridge/refusals?q=shadow:maybe")
    assert (status, error["validations"][0]["field"]) == (400, "shadow")
    for q, number in (("", 0), ("shadow:true", 2)):
        _, stats = await running.get(f"/api/v2/aibridge/stats?of=refusals&group_by=rule&q={q}")
        assert stats["total"] == {"refusals": number}
    exposed = running.bridge.metrics.exposition()[1].decode()
    assert 'coder_aibridged_shadow_refusals_total{rule="policy_rate"} 2.0' in exposed
    await running.ended(3)


async def test_what_a_policy_reserves_is_held_back_until_the_call_ends(running):
    budget = Budget("0.05", "month", reserve=True)
    hold(running, Policy(limits=PolicyLimits(budget=budget)), own(running))
    asking = replace(OPUS, request=OPUS.request | {"max_tokens": 10_000})
    response = await refused(running, asking)
    assert (response.status, response.header("x-should-retry")) == (403, "false")
    modest = replace(OPUS, request=OPUS.request | {"max_tokens": 100})
    running.upstream.play(whole(modest))
    assert (await running.call(modest)).status == 200
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    (state,) = await running.bridge.overload.states(
        running.bridge.policies.find(running.identity).after_body(pays=False)
    )
    assert (state.used, state.reserved) == (OPUS_MICRO_DOLLARS, 0)
    await running.ended(1)


async def test_what_a_policy_says_of_recording_changes_the_record_and_no_byte(running):
    redacted = RecordingRules(prompts=Keep.REDACTED, patterns=[r"EMP-\d{5}"])
    hold(running, Policy(recording=redacted), own(running))
    prompt = "I am EMP-12345, ada@example.com, sk-proj-abcdefghijklmnopqrstuv"
    body = {**CHAT.request, "messages": [{"role": "user", "content": prompt}]}
    running.upstream.play(whole(CHAT))
    sent = json.dumps(body).encode()
    response = await running.request("POST", running.path(CHAT), running.headers, sent)
    assert (response.status, response.body) == (200, CHAT.body)
    assert running.upstream.requests[-1].body == sent
    await running.ended(1)
    assert await running.bridge.recorder.flush(5)
    _, listed = await running.get("/api/v2/aibridge/interceptions")
    (recorded_prompt,) = listed["results"][0]["user_prompts"]
    assert recorded_prompt["prompt"] == "I am [redacted], [redacted], [scrubbed]"
    assert recorded_prompt["metadata"] == {"recording": "redacted"}
    _, explained = await running.get("/api/v2/aibridge/users/me/policy")
    kept = explained["recording"]
    assert (kept["prompts"], kept["thoughts"], kept["patterns"]) == ("redacted", "full", [r"EMP-\d{5}"])
    assert [source["level"] for source in kept["sources"]] == ["user"]


async def of_token(running, change, policy, name):
    """A token of a member with this policy: its id and its headers."""
    headers = await running.user(name)
    id_ = headers["Authorization"][len("Bearer ") :].partition("-")[0]
    assert (await change("PUT", f"/policies/tokens/{id_}", policy))[0] == 200
    return id_, headers


async def test_whatever_a_token_makes_is_bound_by_its_policy_and_by_no_other_way_free(running, change):
    id_, held = await of_token(running, change, {"models": {"deny": ["*"]}}, "grace")
    _, free = await running.bridge.identities.create_token("grace")
    _, made = await change("POST", "/users/me/tokens", {}, held)
    _, of_made = await change("POST", "/users/me/tokens", {}, {"X-Api-Key": made["token"]})
    session = await running.signed_in(held["Authorization"][len("Bearer ") :])
    _, by_session = await change("POST", "/users/me/tokens", {}, session)
    _, replacing = await change("POST", f"/tokens/{free[:10]}/replace", {}, held)
    _, replaced = await change("POST", f"/tokens/{id_}/replace", {}, {"X-Api-Key": free})
    _, codes = await change("POST", "/device/code", None, {})
    await change("POST", "/device/answer", {"user_code": codes["user_code"], "answer": "allow"}, held)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"grant_type": GRANT_TYPE, "device_code": codes["device_code"]}).encode()
    device = json.loads((await running.request("POST", f"{API}/device/token", form, body)).body)["access_token"]
    tokens = [one["token"] for one in (made, of_made, by_session, replacing, replaced)]
    for token in (*tokens, device):
        response = await refused(running, CHAT, {"Authorization": f"Bearer {token}"})
        assert (response.status, f"token {id_} denies *" in str(response.body)) == (403, True)
    explained = await running.get(f"{API}/users/grace/policy?token={device[:10]}")
    assert explained[1]["policies"] == [{"level": "token", "name": id_}]
    # neither what owners make for others with it, nor what was there before
    await change("PUT", f"/policies/tokens/{running.identity.token_id}", {"models": {"deny": ["*"]}})
    _, given = await change("POST", "/users/grace/tokens", {})
    for token in (given["token"], free):
        running.upstream.play(whole(CHAT))
        assert (await running.call(CHAT, {"Authorization": f"Bearer {token}"})).status == 200


async def test_what_a_token_has_used_of_its_limits_is_used_for_what_replaces_it(running, change):
    limits = {"rate": {"requests": 2, "window": "1h"}}
    id_, held = await of_token(running, change, {"limits": limits}, "grace")
    for _ in range(2):
        running.upstream.play(whole(CHAT))
        assert (await running.call(CHAT, held)).status == 200
        _, new = await change("POST", f"/tokens/{id_}/replace", {}, held)
        id_, held = new["id"], {"Authorization": f"Bearer {new['token']}"}
    assert (await refused(running, CHAT, held)).status == 429
    (token,) = [one for one in (await running.get(f"{API}/users/me/usage", held))[1]["tokens"] if one["id"] == id_]
    assert [(one["maximum"], one["used"]) for one in token["limits"]] == [(2, 2)]


async def test_the_calls_of_one_user_leave_the_texts_of_others_room_to_be_redacted(running, io_loop):
    hold(running, SharedPolicy(recording=RecordingRules(prompts=Keep.REDACTED)))
    grace = await running.user("grace")
    running.upstream.play(whole(CHAT))
    assert (
        await running.call(CHAT, grace)
    ).status == 200  # over a connection that is kept: looking up a name is a thread's
    one_thread, gate = ThreadPoolExecutor(1), Event()
    io_loop.asyncio_loop.set_default_executor(one_thread)
    one_thread.submit(gate.wait)  # what is redacted is redacted in threads
    try:
        for headers in [running.headers] * (MAX_REDACTING_OF_USER + 1) + [grace]:
            running.upstream.play(whole(CHAT))
            assert (await running.call(CHAT, headers)).status == 200
        await until(lambda: running.bridge.lifecycle.in_flight == 0)
    finally:
        gate.set()
    of_grace, dropped, *others = await running.ended(MAX_REDACTING_OF_USER + 3)
    (prompt,) = dropped["user_prompts"]
    assert (prompt["prompt"], prompt["metadata"]) == ("", {"truncated": True, "recording": "none"})
    for kept in (of_grace, *others):
        (prompt,) = kept["user_prompts"]
        assert (bool(prompt["prompt"]), prompt["metadata"]) == (True, {"recording": "redacted"})
