"""What is set of a provider beside the built-in ones."""

# ruff: noqa: RUF009 - `declare` wraps `dataclasses.field`
from __future__ import annotations

from dataclasses import dataclass

from settings.kinds import (
    AWS_ACCESS_KEY,
    BASE_URL,
    FALLBACK,
    FILE,
    GOOGLE_ACCOUNT,
    KEYS,
    PROFILE,
    PROJECT,
    PROVIDER_NAME,
    PROXY_URL,
    REGION,
    ROUTES,
    WEIGHT,
    choice,
    optional,
)
from settings.setting import declare
from upstream.credentials.access import AUTHORIZED, Credential
from upstream.credentials.sigv4 import AwsKeys
from upstream.providers.presets import PRESETS, ProviderType
from upstream.routes.extra_routes import ExtraRoute

PROVIDERS = "Providers"


@dataclass(frozen=True)
class ProviderSettings:
    """A provider: what it speaks, where it is, and the keys the bridge holds for it (first is tried first)."""

    name: str = declare(PROVIDERS, PROVIDER_NAME, None, "Name in the path, unique; required.", environment_only=True)
    type: ProviderType = declare(
        PROVIDERS,
        choice(ProviderType, ProviderType.DEMO),
        None,
        "Type: its API and how it is reached; required.",
        environment_only=True,
    )
    base_url: str = declare(
        PROVIDERS,
        BASE_URL,
        None,
        "Address; default: the address of the type's vendor, if it has one.",
        environment_only=True,
    )
    keys: tuple[str, ...] = declare(
        PROVIDERS, KEYS, "", "Keys, separated by commas.", environment_only=True, secret=True
    )
    keys_setting: str = ""  # the name of the setting that `keys` come from
    credential: Credential | None = declare(
        PROVIDERS, optional(choice(Credential)), "", "How its key is sent; default: as usual for the type.",
        environment_only=True,
    )  # fmt: skip
    region: str = declare(
        PROVIDERS, REGION, "", "Region of its cloud; for AWS the default is AWS_REGION.", environment_only=True
    )
    project: str = declare(
        PROVIDERS, PROJECT, "", "Project of Google Cloud, the only one that clients may name.", environment_only=True
    )
    google_account: dict[str, str] | None = declare(
        PROVIDERS, optional(GOOGLE_ACCOUNT), "", "Key of a service account of Google Cloud, in JSON.",
        environment_only=True, secret=True,
    )  # fmt: skip
    aws_access_key: AwsKeys | None = declare(
        PROVIDERS, optional(AWS_ACCESS_KEY), "", "Access key that signs requests to AWS.",
        environment_only=True, secret=True,
    )  # fmt: skip
    aws_profile: str = declare(
        PROVIDERS, PROFILE, "", "Profile of the AWS configuration whose credentials sign.", environment_only=True
    )
    proxy_url: str = declare(
        PROVIDERS, PROXY_URL, "", "Proxy for this provider, or `none`; default: upstream-proxy.",
        environment_only=True, secret=True,
    )  # fmt: skip
    ca_file: str = declare(PROVIDERS, FILE, "", "Additional certificate authorities, in PEM.", environment_only=True)
    client_certificate_file: str = declare(
        PROVIDERS, FILE, "", "Client certificate for the provider.", environment_only=True
    )
    client_key_file: str = declare(
        PROVIDERS, FILE, "", "Private key, if it is in a separate file.", environment_only=True
    )
    routes: tuple[ExtraRoute, ...] = declare(
        PROVIDERS,
        ROUTES,
        "",
        "Additional routes, such as GET /v1/vector_stores.",
        environment_only=True,
    )

    fallback: tuple[str, ...] = declare(
        PROVIDERS, FALLBACK, "", "Names of providers that are tried if this one cannot answer.", environment_only=True
    )
    weight: int = declare(
        PROVIDERS, WEIGHT, "0", "Share of the load between it and its fallbacks; 0 is none.",
        environment_only=True,
    )  # fmt: skip

    @property
    def has_credential(self) -> bool:
        """Whether the bridge has a key, or a way to get a token."""
        preset = PRESETS[self.type]
        return bool(self.keys or preset.aws_service) or (self.credential or preset.credential) in AUTHORIZED
