import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.catalog import CHAT_COMPLETIONS, OPENAI, RERANK
from tests.cases import for_each
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider
from upstream.routes.extra_routes import ExtraRoute, parse_routes
from upstream.routes.route import Audience


def test_routes_are_read_one_after_the_other():
    text = "GET /v1/vector_stores/*,  POST /v1/score=rerank , POST /v1/{model}/chat=chat-completions"
    assert parse_routes(text) == (
        ExtraRoute("GET", "/v1/vector_stores/*", None),
        ExtraRoute("POST", "/v1/score", RERANK),
        ExtraRoute("POST", "/v1/{model}/chat", CHAT_COMPLETIONS),
    )
    assert parse_routes(" ") == ()


@for_each(
    "text",
    [
        *(
            "/v1/vector_stores",
            "GET v1/files",
            "GET /",
            "GET /*",
            "GET /{id}",
            "GET /v1//files",
            "GET /v1/../x",
            "GET /v1/*/x",
        ),
        *("GET /v1/vector_stores=rerank", "POST /v1/x=nothing", "POST /v1/x=", "POST /{id}/x", "GET /v1/{other}"),
        *(
            "GET /v1/{id}/{id}",
            "TRACE /v1/x",
            "get /v1/x",
            "GET /v1/x,",
            "GET /v1/%2e",
            "GET /v1/x?y=1",
            "GET /a.*/(b)",
        ),
    ],
)
def test_other_texts_are_not_allowed(text):
    with pytest.raises(ValueError, match=r"no (method|route)"):
        parse_routes(text)


@given(st.text(alphabet="GETPOS /v1x*{}id=.,%", max_size=30))
def test_a_route_that_is_allowed_begins_with_a_segment_of_its_own(text):
    try:
        routes = parse_routes(text)
    except ValueError:
        return
    for route in routes:
        assert route.pattern[1].isalnum()
        assert not route.of(OPENAI).matches("/other/path")


def test_they_are_served_beside_those_of_the_type_which_stay_as_they_are():
    added = tuple(one.of(OPENAI) for one in parse_routes("GET /v1/vector_stores, GET /v1/conversations/{id}"))
    provider = Provider("p", ProviderType.OPENAI, "http://p/v1/", extra_routes=added)
    assert provider.find_routes("/v1/vector_stores") == [added[0]]
    assert provider.find_routes("/v1/conversations/c")[0].audience is Audience.OWN_KEY
    assert provider.find_routes("/v1/other") == []
