"""Reads all settings from command line and environment, for commands whose flags stand before a sub-command or after."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

import click

from installation import how_to_install
from settings.declarations import BUILT_IN, MAX_CLUSTER_RATE, Settings, declared, declared_in
from settings.kinds import NO_PROXY, LimitsScope
from settings.providers import ProviderSettings
from settings.setting import FLAGS, LONG_PREFIX, PREFIX, Setting, SettingError
from upstream.client import UpstreamClient
from upstream.connections.network import DIRECT, Network, Proxy, is_named
from upstream.credentials.access import AUTHORIZED, Credential
from upstream.credentials.bearer_tokens import EntraApplication
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import find_fault
from upstream.reports.apis import ReportAccess


def load(flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Read all settings; `flags` maps setting names to the text given on the command line.

    Raises:
        SettingError: The first setting that cannot be used.
    """
    declarations = dict(declared_in(Settings))
    if declarations["workers"].read(flags, environ) > 1:
        declarations["limits_scope"].default = LimitsScope.SERVER.value
    values = {name: setting.read(flags, environ) for name, setting in declarations.items()}
    settings = Settings(**values, further_providers=tuple(_further_providers(environ)))
    _check_sign_in(settings)
    if settings.tls_key_file and not settings.tls_cert_file:
        raise SettingError("tls-key-file needs tls-cert-file: a key alone is no TLS")
    for name, rate in (("rate-limit", settings.rate_limit), ("user-rate-limit", settings.user_rate_limit)):
        if settings.limits_scope is LimitsScope.CLUSTER and rate > MAX_CLUSTER_RATE:
            raise SettingError(
                f"{name} {rate} is too high for limits-scope cluster; give at most {MAX_CLUSTER_RATE}, "
                "with a shorter rate-window"
            )
    _check_fallback(settings.providers)
    return settings


def _check_sign_in(settings: Settings) -> None:
    if bool(settings.oidc_issuer_url) != bool(settings.oidc_client_id):
        raise SettingError("oidc-issuer-url and oidc-client-id belong together; give both or neither")
    if settings.auth_proxy_header and not settings.trusted_proxies:
        raise SettingError("auth-proxy-header needs trusted-proxies: only those may name users")
    if not (settings.local_sign_in or settings.oidc_issuer_url or settings.auth_proxy_header):
        raise SettingError("local-sign-in is off, and there is no other way; give oidc-issuer-url or auth-proxy-header")
    if settings.oidc_role_mapping and not (settings.oidc_role_claim or settings.oidc_group_claim):
        raise SettingError("oidc-role-mapping needs a claim; give oidc-role-claim or oidc-group-claim")


# What credentials are made with; the packages are those of the extra of the same name.
_MODULES = {Credential.AWS: "botocore", Credential.AZURE: "azure.identity", Credential.GOOGLE: "google.auth"}


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package it is in
        return False


# How much a variable with our prefix, which clients have too, must be like a setting to count as a slip of the pen.
_CLOSE = 0.85

_SUFFIXES = "|".join(
    variable.removeprefix(PREFIX)
    for _, setting in declared_in(ProviderSettings)
    for variable in (setting.env, *([setting.env_file] if setting.secret else []))
)
_PROVIDER_VARIABLE = re.compile(rf"(?:{PREFIX}|{LONG_PREFIX})PROVIDER_(0|[1-9][0-9]{{0,2}})_(?:{_SUFFIXES})")


def _further_providers(environ: Mapping[str, str]) -> Iterator[ProviderSettings]:
    numbers = {int(match[1]) for name in environ if environ[name] and (match := _PROVIDER_VARIABLE.fullmatch(name))}
    taken = set(BUILT_IN)
    for number in range(max(numbers, default=-1) + 1):
        settings = dict(declared_in(ProviderSettings, f"provider-{number}-"))
        if number not in numbers:
            raise SettingError(
                f"{settings['type'].env} is not set, but provider {max(numbers)} is; number providers from 0 without a gap"
            )
        type_ = settings["type"].read({}, environ)
        preset = PRESETS[type_]
        if type_ is ProviderType.VERTEX:
            settings["region"].default = None
            if not settings["keys"].read({}, environ):  # a key of express mode stands for its project
                settings["project"].default = None
                settings["project"].read({}, environ)
        if preset.aws_service:
            settings["region"].default = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
            if not settings["region"].read({}, environ):
                raise SettingError(f"{settings['region'].env}: give the region of AWS, such as us-east-1")
        settings["base_url"].default = preset.url_in(settings["region"].read({}, environ)) or None
        values = {name: setting.read({}, environ) for name, setting in settings.items()}
        provider = ProviderSettings(**values, keys_setting=settings["keys"].name)
        _check_packages(provider, settings, environ)
        if provider.client_key_file and not provider.client_certificate_file:
            raise SettingError(f"{settings['client_key_file'].env} needs {settings['client_certificate_file'].env}")
        if provider.keys and preset.is_own_key_only:
            raise SettingError(
                f"{settings['keys'].env}: a provider of the type {type_} takes no keys; each user brings their own"
            )
        if provider.name in taken:
            raise SettingError(
                f"{settings['name'].env}: {provider.name!r} is the name of another provider; give one of its own"
            )
        taken.add(provider.name)
        yield provider


def _check_fallback(providers: Sequence[ProviderSettings]) -> None:
    """Refuse names of other providers that cannot stand in for the one that gives them."""
    types = {one.name: one.type for one in providers}
    for one in providers:
        if fault := find_fault(one.name, one.type, one.fallback, types):
            raise SettingError(f"{one.keys_setting.removesuffix('keys').removesuffix('key')}fallback: {fault}")


def _check_packages(provider: ProviderSettings, settings: Mapping[str, Setting], environ: Mapping[str, str]) -> None:
    """Refuse a provider whose credential needs a package that is not installed."""
    credential = provider.credential or PRESETS[provider.type].credential
    if credential not in AUTHORIZED or provider.keys:
        return
    if credential is Credential.AZURE and EntraApplication.of(environ) is not None:
        return
    if not _is_installed(_MODULES[credential]):
        variable, remedy = settings["type"].env, how_to_install(credential.value)
        raise SettingError(f"{variable} {provider.type} needs packages that are not installed; {remedy}")


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Say of each `CODER_AIBRIDGE_*` variable that no setting reads that it is ignored, and what may have been meant.

    Of `AIBRIDGE_*` only what is close to a setting: a client's `AIBRIDGE_TOKEN` is not a setting.
    """
    known = {name for setting in declared() for name in (setting.env, *([setting.env_file] if setting.secret else []))}
    warnings = []
    for name in sorted(environ):
        prefix = LONG_PREFIX if name.startswith(LONG_PREFIX) else PREFIX
        own = {prefix + one.removeprefix(PREFIX) for one in known}
        if not name.startswith(prefix) or name in own or _PROVIDER_VARIABLE.fullmatch(name):
            continue
        number = re.match(prefix + "PROVIDER_([0-9]{1,3})_", name)
        nearby = sorted(one.replace("_N_", f"_{int(number[1])}_") for one in own) if number else sorted(own)
        close = difflib.get_close_matches(name, nearby, n=1, cutoff=_CLOSE if prefix == PREFIX else 0)
        warnings += [f"{name} is not a setting and is ignored; did you mean {one}?" for one in close]
    return warnings


_WARNED = "aibridge.warned"


class SettingsCommand(click.Command):
    """A command whose help lists its settings by topic, each with its environment variable and default."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the settings, then whatever else the command takes."""
        settings = [param for param in self.params if isinstance(param, Setting)]
        for topic in dict.fromkeys(setting.topic for setting in settings):
            with formatter.section(topic):
                records = [setting.help_record(ctx) for setting in settings if setting.topic == topic]
                # So narrow a first column gives each explanation lines of its own, wide enough for the longest variable.
                formatter.write_dl(records, col_max=4)
        super().format_options(ctx, formatter)


class SettingsGroup(SettingsCommand, click.Group):
    """A group of commands that takes settings before its sub-command."""


def flags_of(context: click.Context) -> dict[str, str]:
    """The flags of the running command line, wherever they stood: names of settings, and the text given."""
    return dict(context.meta.get(FLAGS, {}))


def settings_of(context: click.Context) -> Settings:
    """The settings of the running command line: its flags, wherever they stood, and the environment.

    Unknown variables are warned of on stderr, once.

    Raises:
        SettingError: Click shows its line and exits with 2.
    """
    if not context.meta.get(_WARNED):
        context.meta[_WARNED] = True
        for warning in unknown_variables(os.environ):
            click.echo(f"Warning: {warning}", err=True)
    return load(flags_of(context), os.environ)


def make_client(settings: Settings) -> UpstreamClient:
    """The way out of this process. To be closed."""
    return UpstreamClient(
        idle_timeout=settings.upstream_idle_timeout.total_seconds(), egress_hosts=settings.egress_hosts
    )


def network_to(settings: Settings, url: str) -> Network:
    """The network path to a server: through `upstream-proxy`, if there is one and `no-proxy` does not name the host."""
    proxy = settings.upstream_proxy
    if proxy in {"", NO_PROXY} or is_named(urlsplit(url).hostname or "", settings.no_proxy):
        return DIRECT
    return Network(Proxy.of(proxy))


def report_access(settings: Settings) -> Mapping[str, ReportAccess]:
    """Where the reports of each provider are, with its key; the way there is that to providers."""
    openai, anthropic = settings.reconcile_openai_url, settings.reconcile_anthropic_url
    return {
        "openai": ReportAccess(openai, settings.reconcile_openai_key, network_to(settings, openai)),
        "anthropic": ReportAccess(anthropic, settings.reconcile_anthropic_key, network_to(settings, anthropic)),
    }
