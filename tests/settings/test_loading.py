import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from settings import (
    LimitsScope,
    ProviderSettings,
    SettingError,
    Settings,
    SettingsCommand,
    SettingsGroup,
    declared,
    load,
    settings_of,
    unknown_variables,
)
from settings.kinds import PROVIDER_NAME
from settings.loading import network_to
from upstream.connections.network import DIRECT, Network, Proxy
from upstream.providers.presets import ProviderType

TYPES = " or ".join(kind for kind in ProviderType if kind is not ProviderType.DEMO)


def provider(number, **parts):
    return {f"AIBRIDGE_PROVIDER_{number}_{name.upper()}": value for name, value in parts.items()}


def refusal(flags, environ):
    with pytest.raises(SettingError) as caught:
        load(flags, environ)
    return caught.value.message


def test_several_workers_count_together_unless_told_otherwise():
    assert load({"workers": "2"}, {}).limits_scope is LimitsScope.SERVER
    assert load({"workers": "2"}, {"AIBRIDGE_LIMITS_SCOPE": "process"}).limits_scope is LimitsScope.PROCESS
    assert load({"workers": "1"}, {}).limits_scope is LimitsScope.PROCESS


def test_a_rate_that_is_counted_together_is_bounded():
    environ = {"AIBRIDGE_LIMITS_SCOPE": "cluster"}
    assert load({"rate-limit": "1000000"}, environ).rate_limit == 1_000_000
    for name in ("rate-limit", "user-rate-limit"):
        assert refusal({name: "1000001"}, environ) == (
            f"{name} 1000001 is too high for limits-scope cluster; give at most 1000000, with a shorter rate-window"
        )
    assert load({"rate-limit": "1000001"}, {}).rate_limit == 1_000_001


def test_a_key_has_its_certificate():
    assert refusal({"tls-key-file": "k.pem"}, {}) == "tls-key-file needs tls-cert-file: a key alone is no TLS"
    assert load({"tls-key-file": "k.pem", "tls-cert-file": "c.pem"}, {}).tls_key_file == "k.pem"
    of_provider = {f"AIBRIDGE_PROVIDER_0_{name}": text for name, text in (("NAME", "own"), ("TYPE", "openai"))}
    assert refusal({}, of_provider | {"AIBRIDGE_PROVIDER_0_CLIENT_KEY_FILE": "k.pem"}) == (
        "AIBRIDGE_PROVIDER_0_CLIENT_KEY_FILE needs AIBRIDGE_PROVIDER_0_CLIENT_CERTIFICATE_FILE"
    )


@pytest.mark.parametrize("flags", [{"oidc-issuer-url": "https://id.example"}, {"oidc-client-id": "ai-bridge"}])
def test_an_issuer_and_a_client_belong_together(flags):
    assert refusal(flags, {}) == "oidc-issuer-url and oidc-client-id belong together; give both or neither"
    both = {"oidc-issuer-url": "https://id.example/", "oidc-client-id": "ai-bridge"}
    assert load(both, {}).oidc_issuer_url == "https://id.example/"


def test_nobody_is_locked_out_and_no_stranger_names_users():
    assert refusal({"local-sign-in": "off"}, {}) == (
        "local-sign-in is off, and there is no other way; give oidc-issuer-url or auth-proxy-header"
    )
    header = {"auth-proxy-header": "Remote-User"}
    assert refusal(header, {}) == "auth-proxy-header needs trusted-proxies: only those may name users"
    trusted = {"trusted-proxies": "10.0.0.0/8", "local-sign-in": "off"}
    assert load(header | trusted, {}).auth_proxy_header == "Remote-User"


def test_roles_are_mapped_from_a_claim():
    mapping = {"oidc-role-mapping": "a=b=owner, cn x=member"}
    assert refusal(mapping, {}) == "oidc-role-mapping needs a claim; give oidc-role-claim or oidc-group-claim"
    settings = load(mapping | {"oidc-role-claim": "roles"}, {})
    assert settings.oidc_role_mapping == (("a=b", "owner"), ("cn x", "member"))


def test_every_setting_refuses_nonsense_in_its_own_name():
    texts = "data-dir mongodb-database openai-key anthropic-key upstream-proxy no-proxy egress-hosts support-contact"
    names = "tls-cert-file tls-key-file auth-proxy-header openai-fallback anthropic-fallback"
    of_openid = "client-id name username-claim group-claim role-claim allowed-domains"
    anything_goes = {*texts.split(), *names.split(), *(f"oidc-{name}" for name in of_openid.split())}
    for setting in declared():
        if setting.flag and setting.name not in anything_goes:
            assert refusal({}, {setting.env: "n0nsense"}).startswith(f"{setting.env}: 'n0nsense' is not allowed; give ")


def test_an_application_of_entra_needs_no_package():
    environ = provider(0, type="azure", name="a", base_url="https://a.example", credential="azure")
    assert "needs packages that are not installed; pip install -r requirements-azure.txt" in refusal({}, environ)
    application = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    assert load({}, environ | application).further_providers[0].has_credential


def test_a_provider_names_others_that_stand_in_for_it():
    azure = provider(0, type="azure", name="azure", base_url="https://a.example", fallback="openai", weight="3")
    settings = load({}, {**azure, "AIBRIDGE_OPENAI_FALLBACK": "azure", "AIBRIDGE_OPENAI_WEIGHT": "1000"})
    found = {one.name: (one.fallback, one.weight) for one in settings.providers}
    assert found == {"openai": (("azure",), 1000), "anthropic": ((), 0), "azure": (("openai",), 3)}


@pytest.mark.parametrize(
    ("fallback", "said"),
    [
        ("nobody", "openai-fallback: there is no provider named nobody; there are anthropic"),
        (
            "anthropic",
            (
                "openai-fallback: anthropic is of the type anthropic, which has no route of the type openai: give providers "
                "of the same dialect"
            ),
        ),
        (
            "a,a",
            (
                "AIBRIDGE_OPENAI_FALLBACK: 'a,a' is not allowed; give names of at most 5 providers, each once, "
                "separated by commas"
            ),
        ),
    ],
)
def test_what_cannot_stand_in_is_refused_at_the_start(fallback, said):
    assert refusal({}, {"AIBRIDGE_OPENAI_FALLBACK": fallback}) == said


def test_further_providers_are_read_in_their_order():
    environ = {
        **provider(1, type="anthropic", name="second", keys="sk-1, sk-2"),
        **provider(0, type="openai", name="first", base_url="http://localhost:1234/v1"),
    }
    assert load({}, environ).further_providers == (
        ProviderSettings("first", ProviderType.OPENAI, "http://localhost:1234/v1/", (), "provider-0-keys"),
        ProviderSettings(
            "second", ProviderType.ANTHROPIC, "https://api.anthropic.com/", ("sk-1", "sk-2"), "provider-1-keys"
        ),
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            provider(1, type="openai", name="a"),
            "AIBRIDGE_PROVIDER_0_TYPE is not set, but provider 1 is; number providers from 0 without a gap",
        ),
        (provider(0, name="a"), "AIBRIDGE_PROVIDER_0_TYPE is not set; give " + TYPES),
        (provider(0, type="demo", name="a"), "AIBRIDGE_PROVIDER_0_TYPE: 'demo' is not allowed; give " + TYPES),
        (provider(0, type="openai"), "AIBRIDGE_PROVIDER_0_NAME is not set; give " + PROVIDER_NAME.allowed),
        (
            provider(0, type="azure", name="a"),
            "AIBRIDGE_PROVIDER_0_BASE_URL is not set; give an http or https URL without user, query and fragment",
        ),
        (
            provider(0, type="vertex", name="a", region="us-central1"),
            "AIBRIDGE_PROVIDER_0_PROJECT is not set; give the id or the number of a project",
        ),
        (
            provider(0, type="gemini", name="a", google_account='{"type": "authorized_user", "private_key": "s3cret"}'),
            (
                "AIBRIDGE_PROVIDER_0_GOOGLE_ACCOUNT: the value given is not allowed; "
                "give the key of a service account, as Google gives it out in JSON"
            ),
        ),
        (
            provider(0, type="copilot", name="a", keys="sk"),
            "AIBRIDGE_PROVIDER_0_KEYS: a provider of the type copilot takes no keys; each user brings their own",
        ),
        (
            provider(0, type="bedrock", name="a"),
            "AIBRIDGE_PROVIDER_0_REGION: give the region of AWS, such as us-east-1",
        ),
        (
            provider(0, type="openai", name="anthropic"),
            "AIBRIDGE_PROVIDER_0_NAME: 'anthropic' is the name of another provider; give one of its own",
        ),
        (
            provider(0, type="openai", name="a", base_url="https://ada:s3cret@host"),
            (
                "AIBRIDGE_PROVIDER_0_BASE_URL: 'https://***@host' is not allowed; "
                "give an http or https URL without user, query and fragment"
            ),
        ),
    ],
)
def test_a_further_provider_that_cannot_be_used_is_refused(environ, message):
    assert refusal({}, environ) == message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CODER_AIBRIDGE_OPENAI_KEYFILE", "CODER_AIBRIDGE_OPENAI_KEY_FILE"),
        ("CODER_AIBRIDGE_RATE_LIMIT_FILE", "CODER_AIBRIDGE_RATE_LIMIT"),
        ("CODER_AIBRIDGE_PROVIDER_7_KEY", "CODER_AIBRIDGE_PROVIDER_7_KEYS"),
        ("AIBRIDGE_RATELIMIT", "AIBRIDGE_RATE_LIMIT"),
    ],
)
def test_an_unknown_variable_is_warned_of_with_the_nearest_known_one(name, meant):
    assert unknown_variables({name: "s3cret"}) == [f"{name} is not a setting and is ignored; did you mean {meant}?"]


def test_known_and_foreign_variables_are_not_warned_of():
    known = {setting.env.replace("_N_", "_0_"): "x" for setting in declared()}
    files = dict.fromkeys(["AIBRIDGE_MONGODB_URI_FILE", "AIBRIDGE_PROVIDER_12_KEYS_FILE"], "x")
    assert unknown_variables(known | files | {"PATH": "/bin", "CODER_URL": "x", "OPENAI_API_KEY": "x"}) == []
    long = {f"CODER_{name}": value for name, value in (known | files).items()}
    assert unknown_variables(long | {"AIBRIDGE_TOKEN": "x", "AIBRIDGE_URL": "x"}) == []


names = st.sampled_from([setting.env for setting in declared()]).flatmap(
    lambda name: st.sampled_from(
        [
            *(name, name + "_FILE", name.replace("_N_", "_0_"), name.replace("_N_", "_99_"), name[:-1]),
            *(f"CODER_{name}", f"CODER_{name}".replace("_N_", "_0_")),
        ]
    )
)


@given(st.dictionaries(names, st.text(st.characters(exclude_characters="\0"))))
def test_any_environment_is_read_or_refused_in_one_line(environ):
    unknown_variables(environ)
    refused = None
    try:
        load({}, environ)
    except SettingError as error:
        refused = error
    assert refused is None or len(refused.message.splitlines()) == 1


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("us-central1", "https://us-central1-aiplatform.googleapis.com/"),
        ("global", "https://aiplatform.googleapis.com/"),
    ],
)
def test_the_address_of_vertex_is_that_of_its_region(region, address):
    environ = provider(0, type="vertex", name="v", project="my-project", region=region)
    (settings,) = load({}, environ).further_providers
    assert (settings.base_url, settings.project, settings.has_credential) == (address, "my-project", True)


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({"AIBRIDGE_PROVIDER_0_REGION": "eu-west-1", "AWS_REGION": "us-east-1"}, "eu-west-1"),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-west-2"}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
    ],
)
def test_the_address_of_a_provider_of_aws_has_the_region_in_it(environ, region):
    (loaded,) = load({}, provider(0, type="bedrock", name="bedrock") | environ).further_providers
    assert (loaded.region, loaded.base_url) == (region, f"https://bedrock-runtime.{region}.amazonaws.com/")


@pytest.mark.parametrize(
    ("upstream_proxy", "no_proxy", "network"),
    [
        ("", "", DIRECT),
        ("none", "", DIRECT),
        ("http://proxy.example:3128", "", Network(Proxy("proxy.example", 3128))),
        ("http://proxy.example:3128", ".example", DIRECT),
        ("http://proxy.example:3128", ".internal", Network(Proxy("proxy.example", 3128))),
    ],
)
def test_a_server_is_reached_through_the_proxy_if_one_is_set_and_not_excepted(upstream_proxy, no_proxy, network):
    settings = Settings(upstream_proxy=upstream_proxy, no_proxy=no_proxy)
    assert network_to(settings, "https://hooks.example/path") == network


@pytest.fixture
def seen():
    return []


@pytest.fixture
def main(seen):
    @click.group(cls=SettingsGroup, params=declared(), invoke_without_command=True)
    @click.pass_context
    def main(context):
        if context.invoked_subcommand is None:
            context.invoke(serve)

    @main.command(cls=SettingsCommand, params=declared())
    @click.option("--demo", is_flag=True)
    @click.pass_context
    def serve(context, demo=False):
        seen.append((settings_of(context), demo))

    @main.command(cls=SettingsCommand, params=declared("Database"))
    @click.argument("what", default="")
    @click.pass_context
    def tidy(context, what):
        assert settings_of(context) == settings_of(context)  # a command and what it calls may both need them
        seen.append(settings_of(context))

    return main


@pytest.fixture
def run(main):
    def run(*arguments, **environ):
        cleared = dict.fromkeys(["OPENAI_API_KEY", "ANTHROPIC_API_KEY"])
        return CliRunner().invoke(main, arguments, env=cleared | environ, prog_name="server.py")

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate-limit", "5"],
        ["--rate-limit=5"],
        ["--rate-limit", "5", "serve"],
        ["serve", "--rate-limit", "5"],
        ["--rate-limit", "6", "serve", "--rate-limit", "5"],
        ["--rate-limit", "6", "serve", "--aibridge-rate-limit", "5"],
        ["--aibridge-rate-limit=5", "serve"],
    ],
)
def test_a_flag_may_stand_before_or_after_the_command_and_the_last_one_counts(run, seen, arguments):
    assert run(*arguments).output == ""
    assert seen == [(Settings(rate_limit=5), False)]


def test_a_flag_wins_over_the_environment_wherever_it_stands(run, seen):
    run("--rate-limit", "5", "serve", AIBRIDGE_RATE_LIMIT="7", AIBRIDGE_MAX_CONCURRENCY="3")
    assert seen == [(Settings(rate_limit=5, max_concurrency=3), False)]


def test_a_command_may_take_the_flags_of_one_topic_and_still_sees_all_settings(run, seen):
    run("--rate-limit", "5", "tidy", "--mongodb-database", "other")
    assert seen == [Settings(rate_limit=5, mongodb_database="other")]
    refused = run("tidy", "--rate-limit", "5")
    assert (refused.exit_code, "No such option" in refused.stderr) == (2, True)


def test_a_bad_value_ends_with_2_and_one_line(run, seen):
    result = run("--rate-limit", "many")
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        "Error: --rate-limit: 'many' is not allowed; give a whole number, 0 (off) or more\n",
    )
    assert seen == []


def test_an_unknown_variable_is_warned_of_once_and_nothing_else_happens(run, seen):
    for arguments in ((), ("tidy",)):
        result = run(*arguments, AIBRIDGE_RATELIMIT="5")
        assert (result.exit_code, result.stdout, result.stderr) == (
            0,
            "",
            "Warning: AIBRIDGE_RATELIMIT is not a setting and is ignored; did you mean AIBRIDGE_RATE_LIMIT?\n",
        )
    assert seen == [(Settings(), False), Settings()]


def test_no_flag_takes_a_key(run):
    assert run("--openai-key", "sk").exit_code == 2


def test_the_help_shows_every_setting_with_its_variable_and_default_under_its_topic(run):
    output = run("serve", "--help").output
    words = " ".join(output.split())
    for setting in declared():
        origin = setting.env if setting.flag else f"{setting.env} {setting.kind.name}"
        assert setting.help in words
        assert origin in words
        assert f"\n{setting.topic}:\n" in output
        if setting.flag:
            assert f"\n  {setting.flag} {setting.kind.name}\n" in output
        if setting.default:
            assert f"default: {setting.default}]" in words
