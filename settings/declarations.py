"""All settings there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from installation import default_data_dir
from limits.limit import BudgetPeriod
from settings.kinds import (
    ADDRESS,
    BASE_URL,
    CLAIM,
    CLIENT_ID,
    COLLECTOR,
    DATABASE_NAME,
    DISPLAYED,
    DOMAINS,
    DURATION,
    ENCRYPTION_KEYS,
    FALLBACK,
    FILE,
    FOLDER,
    HEADER,
    HOSTS,
    ISSUER,
    KEYS,
    LIMIT,
    MONEY,
    MONGODB_URI,
    NETWORKS,
    OPTIONAL_CLAIM,
    POSITIVE,
    POSITIVE_DURATION,
    PROXY_URL,
    ROLE_MAPPING,
    ROUTES,
    SCOPES,
    SECRET,
    SIZE,
    SWITCH,
    TIME_ZONE,
    WEIGHT,
    WORKERS,
    Address,
    ChatStreamUsage,
    LimitsScope,
    Network,
    RecordPolicy,
    TokenCreation,
    choice,
)
from settings.providers import PROVIDERS, ProviderSettings
from settings.setting import Setting, declare
from upstream.providers.presets import PRESETS, ProviderType
from upstream.routes import ExtraRoute

# ruff: noqa: RUF009 - `declare` wraps `dataclasses.field`


SERVER = "Server"
SIGN_IN = "Sign-in"
DATABASE = "Database"
RECORDING = "Recording"
OVERLOAD = "Overload protection (0 = off)"
BREAKER = "Circuit breaker"
RECONCILIATION = "Reconciliation"

# Of what is counted together each admission in the window is kept, in one document of the database.
MAX_CLUSTER_RATE = 1_000_000

# The names of the providers that are there without being set.
BUILT_IN = ("openai", "anthropic")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything an operator can decide, parsed. Sizes are bytes; without arguments it holds the defaults."""

    http_address: Address = declare(
        SERVER, ADDRESS, "127.0.0.1:4001", "Address on which the bridge listens; port 0 picks a free one."
    )
    tls_cert_file: str = declare(
        SERVER, FILE, "", "Certificate of the server with its intermediates, in PEM; empty means no TLS."
    )
    tls_key_file: str = declare(SERVER, FILE, "", "Private key, if it is in a separate file.")
    max_body_bytes: int = declare(SERVER, SIZE, "64MiB", "Largest request body accepted.")
    max_form_bytes: int = declare(
        SERVER, SIZE, "512MiB", "Largest form with files accepted; it is streamed, not buffered."
    )
    drain_timeout: timedelta = declare(
        SERVER, DURATION, "30s", "How long running requests may continue after SIGTERM; 0 cuts them."
    )
    token_creation: TokenCreation = declare(
        SERVER, choice(TokenCreation), "members", "Who may create tokens: each user their own, or only owners."
    )
    tokens_per_user: int = declare(
        SERVER, LIMIT, "10", "Maximum active tokens of a user; owners may have more. 0 is unlimited."
    )
    trusted_proxies: tuple[Network, ...] = declare(
        SERVER,
        NETWORKS,
        "",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted; CIDRs, separated by commas.",
    )
    session_idle_timeout: timedelta = declare(
        SERVER, POSITIVE_DURATION, "12h", "How long a sign-in to the dashboard lasts without use."
    )
    session_lifetime: timedelta = declare(
        SERVER, POSITIVE_DURATION, "7d", "Maximum length of a sign-in to the dashboard."
    )
    support_contact: str = declare(
        SERVER, DISPLAYED, "", "Whom to ask, such as an address; named where a policy or a budget refuses a call."
    )
    structured_logging: bool = declare(SERVER, SWITCH, "false", "Log one JSON line per record.")
    otel_traces: bool = declare(SERVER, SWITCH, "false", "Send traces to an OpenTelemetry collector.")
    telemetry_forward_to: str = declare(
        SERVER, COLLECTOR, "", "Collector that gets the telemetry of clients, by OTLP over HTTP; empty is none."
    )
    workers: int = declare(SERVER, WORKERS, "1", "Processes that serve on the same address.")

    local_sign_in: bool = declare(
        SIGN_IN, SWITCH, "true", "Let people sign in to the dashboard with a token; off needs another way to sign in."
    )
    oidc_issuer_url: str = declare(SIGN_IN, ISSUER, "", "OpenID provider for sign-in to the dashboard; empty is none.")
    oidc_client_id: str = declare(SIGN_IN, CLIENT_ID, "", "Client id of the bridge there; required with an issuer.")
    oidc_client_secret: str = declare(
        SIGN_IN, SECRET, "", "Client secret there; a public client has none.", environment_only=True, secret=True
    )
    oidc_name: str = declare(SIGN_IN, DISPLAYED, "", "Name of the provider on the sign-in page; by default its host.")
    oidc_scopes: str = declare(SIGN_IN, SCOPES, "openid profile email", "Scopes that the bridge requests.")
    oidc_username_claim: str = declare(SIGN_IN, CLAIM, "email", "Claim that has the username.")
    oidc_group_claim: str = declare(SIGN_IN, OPTIONAL_CLAIM, "", "Claim that has the groups; empty leaves them alone.")
    oidc_role_claim: str = declare(
        SIGN_IN, OPTIONAL_CLAIM, "", "Claim whose values give roles; by default oidc-group-claim."
    )
    oidc_role_mapping: tuple[tuple[str, str], ...] = declare(
        SIGN_IN, ROLE_MAPPING, "", "Values of the claim and the roles they give; empty leaves roles alone."
    )
    oidc_allowed_domains: tuple[str, ...] = declare(
        SIGN_IN, DOMAINS, "", "Domains of mail addresses that may sign in; empty is all."
    )
    oidc_assume_verified: bool = declare(
        SIGN_IN,
        SWITCH,
        "false",
        "Take mail addresses for verified without email_verified: this provider has no others.",
    )
    oidc_link_users: bool = declare(SIGN_IN, SWITCH, "false", "Link a person to the existing user with the same name.")
    oidc_sign_out: bool = declare(
        SIGN_IN, SWITCH, "false", "Sign people out of the provider too when they sign out of the dashboard."
    )
    oidc_create_groups: bool = declare(
        SIGN_IN, SWITCH, "false", "Create groups that the claim names and that do not exist."
    )
    auth_proxy_header: str = declare(
        SIGN_IN, HEADER, "", "Header in which trusted-proxies name the user of the dashboard; empty is none."
    )

    mongodb_uri: str = declare(
        DATABASE, MONGODB_URI, "", "MongoDB to record in; empty starts an embedded one.", secret=True
    )
    mongodb_database: str = declare(DATABASE, DATABASE_NAME, "aibridge", "Database to record in.")
    data_dir: Path = declare(DATABASE, FOLDER, default_data_dir(), "Folder of the embedded MongoDB and the spool.")
    encryption_keys: tuple[bytes, ...] = declare(
        DATABASE, ENCRYPTION_KEYS, "", "Keys that seal provider keys in the database; the first one encrypts.",
        environment_only=True, secret=True,
    )  # fmt: skip

    retention: timedelta = declare(RECORDING, DURATION, "60d", "How long interceptions are kept; 0 is forever.")
    record_policy: RecordPolicy = declare(
        RECORDING,
        choice(RecordPolicy),
        "spool",
        "Where a call is recorded before it is sent: spool (disk) or strict (database).",
    )

    openai_base_url: str = declare(
        PROVIDERS, BASE_URL, PRESETS[ProviderType.OPENAI].base_url, "Address of the provider `openai`."
    )
    openai_key: tuple[str, ...] = declare(
        PROVIDERS, KEYS, "", "Key of `openai`; several are separated by commas. Falls back to OPENAI_API_KEY.",
        environment_only=True, secret=True, fallback="OPENAI_API_KEY",
    )  # fmt: skip
    openai_routes: tuple[ExtraRoute, ...] = declare(
        PROVIDERS, ROUTES, "", "Additional routes of `openai`, such as GET /v1/vector_stores.",
        environment_only=True,
    )  # fmt: skip
    openai_fallback: tuple[str, ...] = declare(
        PROVIDERS, FALLBACK, "", "Names of providers that are tried if `openai` cannot answer."
    )
    openai_weight: int = declare(
        PROVIDERS, WEIGHT, "0", "Share of the load between `openai` and its fallbacks; 0 is none."
    )
    anthropic_base_url: str = declare(
        PROVIDERS, BASE_URL, PRESETS[ProviderType.ANTHROPIC].base_url, "Address of the provider `anthropic`."
    )
    anthropic_key: tuple[str, ...] = declare(
        PROVIDERS, KEYS, "", "Key of `anthropic`; several are separated by commas. Falls back to ANTHROPIC_API_KEY.",
        environment_only=True, secret=True, fallback="ANTHROPIC_API_KEY",
    )  # fmt: skip
    anthropic_routes: tuple[ExtraRoute, ...] = declare(
        PROVIDERS, ROUTES, "", "Additional routes of `anthropic`.", environment_only=True
    )
    anthropic_fallback: tuple[str, ...] = declare(
        PROVIDERS, FALLBACK, "", "Names of providers that are tried if `anthropic` cannot answer."
    )
    anthropic_weight: int = declare(
        PROVIDERS, WEIGHT, "0", "Share of the load between `anthropic` and its fallbacks; 0 is none."
    )
    further_providers: tuple[ProviderSettings, ...] = ()
    allow_byok: bool = declare(PROVIDERS, SWITCH, "true", "Let users bring their own provider keys.")
    allow_billing_headers: bool = declare(
        PROVIDERS, SWITCH, "false", "Let clients choose the OpenAI organization and project that pay."
    )
    send_actor_headers: bool = declare(PROVIDERS, SWITCH, "false", "Tell providers which user calls.")
    upstream_idle_timeout: timedelta = declare(
        PROVIDERS, POSITIVE_DURATION, "300s", "How long a provider may send nothing; streams may last for hours."
    )
    upstream_proxy: str = declare(
        PROVIDERS, PROXY_URL, "", "HTTP proxy to providers with https addresses. Falls back to HTTPS_PROXY.",
        secret=True, fallback="HTTPS_PROXY",
    )  # fmt: skip
    no_proxy: str = declare(
        PROVIDERS, HOSTS, "", "Hosts that are reached without the proxy. Falls back to NO_PROXY.", fallback="NO_PROXY"
    )
    egress_hosts: str = declare(
        PROVIDERS,
        HOSTS,
        "",
        "The only hosts and domains to connect to, besides MongoDB; empty is all.",
    )
    chat_stream_usage: ChatStreamUsage = declare(
        PROVIDERS,
        choice(ChatStreamUsage),
        "ensure",
        "Request the token usage of chat streams (ensure), or only if the client does (as-asked).",
    )
    responses_websocket: bool = declare(
        PROVIDERS, SWITCH, "true", "Serve the WebSocket of OpenAI's responses; else clients are told to use HTTP."
    )
    realtime_websocket: bool = declare(
        PROVIDERS, SWITCH, "true", "Serve the WebSocket of OpenAI's Realtime API; else it is refused with 426."
    )
    keepalive_interval: timedelta = declare(
        PROVIDERS, DURATION, "0", "How long a stream may be silent before the client gets a ping; 0 is off."
    )

    max_concurrency: int = declare(OVERLOAD, LIMIT, "0", "Concurrent calls, whole server.")
    rate_limit: int = declare(OVERLOAD, LIMIT, "0", "Calls per rate window and token.")
    user_rate_limit: int = declare(OVERLOAD, LIMIT, "0", "Calls per rate window and user, with all their tokens.")
    rate_window: timedelta = declare(OVERLOAD, POSITIVE_DURATION, "1s", "The window of the rate limits.")
    user_max_concurrency: int = declare(OVERLOAD, LIMIT, "0", "Concurrent calls per user.")
    user_token_limit: int = declare(OVERLOAD, LIMIT, "0", "Tokens per token window and user.")
    token_window: timedelta = declare(OVERLOAD, POSITIVE_DURATION, "1m", "The window of the token limit.")
    count_cache_reads: bool = declare(
        OVERLOAD, SWITCH, "false", "Count tokens read from a provider's cache towards the token limit."
    )
    user_budget_usd: Decimal = declare(
        OVERLOAD, MONEY, "0", "US dollars that a user's calls may cost per budget period, at list prices."
    )
    user_budget_period: BudgetPeriod = declare(
        OVERLOAD,
        choice(BudgetPeriod),
        "month",
        "When the budget restarts: each day, each week (on Monday), each month, or never.",
    )
    budget_timezone: str = declare(OVERLOAD, TIME_ZONE, "UTC", "Time zone in which budget periods start.")
    limits_reserve: bool = declare(
        OVERLOAD,
        SWITCH,
        "false",
        "Hold back the output that a call allows (max_tokens and the like) from tokens and budgets until it ends.",
    )
    authentication_failure_limit: int = declare(
        OVERLOAD, LIMIT, "30", "Invalid tokens that one address may send per minute."
    )
    limits_scope: LimitsScope = declare(
        OVERLOAD,
        choice(LimitsScope),
        "process",
        "Scope of the limits: process (each on its own), server (its workers together; the default with several) or cluster (all servers on one database).",
    )

    circuit_breaker_enabled: bool = declare(
        BREAKER, SWITCH, "false", "Stop calling providers that keep failing, for a while."
    )
    circuit_breaker_failure_threshold: int = declare(
        BREAKER, POSITIVE, "5", "Consecutive failures that open the circuit."
    )
    circuit_breaker_interval: timedelta = declare(
        BREAKER, POSITIVE_DURATION, "10s", "How often the count restarts while the circuit is closed."
    )
    circuit_breaker_timeout: timedelta = declare(BREAKER, POSITIVE_DURATION, "30s", "How long the circuit stays open.")
    circuit_breaker_max_requests: int = declare(
        BREAKER, POSITIVE, "3", "Probes while the circuit is half-open; as many successes close it."
    )

    reconcile_openai_key: str = declare(
        RECONCILIATION, SECRET, "", "Admin key of OpenAI that may read reports.", environment_only=True, secret=True
    )
    reconcile_openai_url: str = declare(RECONCILIATION, BASE_URL, "https://api.openai.com/", "Address of its reports.")
    reconcile_anthropic_key: str = declare(
        RECONCILIATION, SECRET, "", "Admin key of Anthropic that may read reports.", environment_only=True, secret=True
    )
    reconcile_anthropic_url: str = declare(
        RECONCILIATION, BASE_URL, "https://api.anthropic.com/", "Address of its reports."
    )

    @property
    def providers(self) -> tuple[ProviderSettings, ...]:
        """All providers: the two built-in ones, then the further ones in their order."""
        return (*(self._built_in(name) for name in BUILT_IN), *self.further_providers)

    def _built_in(self, name: str) -> ProviderSettings:
        """The provider whose settings have its name before theirs; it is called as its type is."""
        given = {one: getattr(self, f"{name}_{one}") for one in ("base_url", "routes", "fallback", "weight")}
        keys = getattr(self, f"{name}_key")
        return ProviderSettings(name=name, type=ProviderType(name), keys=keys, keys_setting=f"{name}-key", **given)


def declared_in(cls: type, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Field names and settings of `Settings` or `ProviderSettings`; `prefix` stands before the names of the settings."""
    for one in fields(cls):
        if one.metadata:
            yield one.name, Setting(name=prefix + one.name.replace("_", "-"), **one.metadata)


def declared(*topics: str) -> list[Setting]:
    """The settings of these topics, of all if none is named, by topic; those of further providers with `N` for the number.

    They are options of click's: `params=declared()` gives them to a `SettingsCommand`.
    """
    return [setting for setting in _everything() if not topics or setting.topic in topics]


@cache
def _everything() -> list[Setting]:
    everything = [setting for _, setting in declared_in(Settings)]
    everything += [setting for _, setting in declared_in(ProviderSettings, "provider-N-")]
    topics = list(dict.fromkeys(setting.topic for setting in everything))
    return sorted(everything, key=lambda setting: topics.index(setting.topic))
