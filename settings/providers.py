"""What is set of a provider beside the built-in ones."""

# ruff: noqa: RUF009 - `_declare` wraps `dataclasses.field`
from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

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
    SettingKind,
    choice,
    optional,
)
from settings.setting import declare
from upstream.credentials.access import AUTHORIZED, Credential
from upstream.credentials.sigv4 import AwsKeys
from upstream.providers.presets import PRESETS, ProviderType
from upstream.routes import ExtraRoute

PROVIDERS = "Providers"

T = TypeVar("T")


def _declare(kind: SettingKind[T], default: str | None, text: str, *, secret: bool = False) -> T:
    """Make a field a setting of a provider, which is given by the environment alone."""
    return declare(PROVIDERS, kind, default, text, environment_only=True, secret=secret)


@dataclass(frozen=True)
class ProviderSettings:
    """A provider: what it speaks, where it is, and the keys the bridge holds for it (first is tried first)."""

    name: str = _declare(PROVIDER_NAME, None, "Name in the path, unique; required.")
    type: ProviderType = _declare(
        choice(ProviderType, ProviderType.DEMO), None, "Type: its API and how it is reached; required."
    )
    base_url: str = _declare(BASE_URL, None, "Address; default: the address of the type's vendor, if it has one.")
    keys: tuple[str, ...] = _declare(KEYS, "", "Keys, separated by commas.", secret=True)
    keys_setting: str = ""  # the name of the setting that `keys` come from
    credential: Credential | None = _declare(
        optional(choice(Credential)), "", "How its key is sent; default: as usual for the type."
    )
    region: str = _declare(REGION, "", "Region of its cloud; for AWS the default is AWS_REGION.")
    project: str = _declare(PROJECT, "", "Project of Google Cloud, the only one that clients may name.")
    google_account: dict[str, str] | None = _declare(
        optional(GOOGLE_ACCOUNT), "", "Key of a service account of Google Cloud, in JSON.", secret=True
    )
    aws_access_key: AwsKeys | None = _declare(
        optional(AWS_ACCESS_KEY), "", "Access key that signs requests to AWS.", secret=True
    )
    aws_profile: str = _declare(PROFILE, "", "Profile of the AWS configuration whose credentials sign.")
    proxy_url: str = _declare(
        PROXY_URL, "", "Proxy for this provider, or `none`; default: upstream-proxy.", secret=True
    )
    ca_file: str = _declare(FILE, "", "Additional certificate authorities, in PEM.")
    client_certificate_file: str = _declare(FILE, "", "Client certificate for the provider.")
    client_key_file: str = _declare(FILE, "", "Private key, if it is in a separate file.")
    routes: tuple[ExtraRoute, ...] = _declare(ROUTES, "", "Additional routes, such as GET /v1/vector_stores.")
    fallback: tuple[str, ...] = _declare(FALLBACK, "", "Names of providers that are tried if this one cannot answer.")
    weight: int = _declare(WEIGHT, "0", "Share of the load between it and its fallbacks; 0 is none.")

    @property
    def has_credential(self) -> bool:
        """Whether the bridge has a key, or a way to get a token."""
        preset = PRESETS[self.type]
        return bool(self.keys or preset.aws_service) or (self.credential or preset.credential) in AUTHORIZED
