import pytest
from msgspec import structs

from tests.cases import for_each
from upstream.openid.profiles import MAX_VALUES, NotAllowedError, Rules, read_profile

CLAIMS = {"iss": "https://id.example", "sub": "s", "email": "ada@example.com", "email_verified": True}


def profile(rules=Rules(), **claims):  # noqa: B008 - it is frozen
    return read_profile(CLAIMS | claims, rules)


def test_a_name_is_what_can_be_printed_of_it():
    assert profile(name="Ada\n\x00 L").name == "Ada L"
    assert profile(name=5).name == ""
    assert len(profile(name="x" * 500).name) == 128


@for_each("value", None, "", 5, ["x"])
def test_who_has_no_name_is_not_let_in(value):
    with pytest.raises(NotAllowedError, match="'preferred_username'"):
        profile(Rules(username_claim="preferred_username"), preferred_username=value)


@for_each("said", {}, {"email_verified": False}, {"email_verified": None}, {"email_verified": "true"})
def test_an_address_counts_only_where_the_provider_says_that_it_is_verified(said):
    claims = {name: CLAIMS[name] for name in ("iss", "sub", "email")} | said
    for rules in (Rules(), Rules(username_claim="sub", domains=("example.com",))):
        with pytest.raises(NotAllowedError, match="oidc-assume-verified"):
            read_profile(claims, rules)
        assuming = structs.replace(rules, assumes_verified=True)
        if said:
            with pytest.raises(NotAllowedError, match="oidc-assume-verified"):
                read_profile(claims, assuming)
        else:
            assert read_profile(claims, assuming).subject == "s"


@for_each(
    ("email", "allowed"),
    ("ada@example.com", True),
    ("ada@EXAMPLE.com", True),
    ('"@evil.example"@example.com', True),
    ("ada@example.com@evil.example", False),
    ("ada@evil-example.com", False),
    ("example.com", False),
    (None, False),
)
def test_only_domains_that_are_allowed_get_in(email, allowed):
    rules = Rules(username_claim="sub", domains=("example.com",))
    if allowed:
        assert profile(rules, email=email).username == "s"
        return
    with pytest.raises(NotAllowedError, match="oidc-allowed-domains"):
        profile(rules, email=email)


@for_each(
    ("value", "groups"),
    (["a", "/b", "a", 5, "", "x" * 300], ("a", "b")),
    ("a", ("a",)),
    (None, ()),
    ({}, ()),
    ([str(number) for number in range(MAX_VALUES + 5)], tuple(str(number) for number in range(MAX_VALUES))),
)
def test_groups_are_the_texts_of_a_claim(value, groups):
    assert profile(Rules(group_claim="groups"), groups=value).groups == groups


@for_each(
    ("name", "groups"),
    ("realm_access.roles", ("staff",)),
    ("resource_access.ai.bridge.roles", ("bridge",)),
    ("https://example.com/roles", ("auth0",)),
    ("realm_access.none", ()),
    ("realm_access", ()),
    ("realm_access.roles.x", ()),
    ("a.b", ("whole name",)),
    (".", ()),
)
def test_a_name_with_dots_leads_into_claims_unless_one_is_called_so(name, groups):
    claims = {
        "realm_access": {"roles": ["staff"]},
        "resource_access": {"ai.bridge": {"roles": ["bridge"]}, "ai": {"bridge": 5}},
        "https://example.com/roles": ["auth0"],
        "a.b": ["whole name"],
        "a": {"b": ["inner"]},
    }
    assert profile(Rules(group_claim=name), **claims).groups == groups


def test_groups_that_a_provider_left_out_for_their_number_are_not_known():
    assert profile(Rules(group_claim="groups"), _claim_names={"groups": "src1"}).groups is None
