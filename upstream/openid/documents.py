"""What a provider publishes of itself, which is where its endpoints are, and what can go wrong with it. Pure.

Texts of errors are for the operator's log, and hold no secret. Sources: OpenID Connect Discovery 1.0 section 3, RFC 8414.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, structs

from upstream.connections.network import is_usable_url


class ProviderMetadata(Struct, frozen=True, kw_only=True):
    """Where a provider is reached. Other fields of the document are not read."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False

    @property
    def takes_basic(self) -> bool:
        """Whether the client's secret goes into the `Authorization` header: unless the provider only names the other way."""
        methods = self.token_endpoint_auth_methods_supported
        return not methods or "client_secret_basic" in methods or "client_secret_post" not in methods


def read_metadata(body: bytes, issuer: str) -> ProviderMetadata:
    """Read the discovery document of an issuer.

    Raises:
        ProviderUnavailableError: It is none, it is that of another issuer, or an endpoint cannot be used.
    """
    try:
        metadata = msgspec.json.decode(body, type=ProviderMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderUnavailableError(f"the discovery document cannot be read: {error}") from error
    if metadata.issuer != issuer:
        raise ProviderUnavailableError(
            f"the discovery document is that of the issuer {metadata.issuer[:200]!r}; set oidc-issuer-url to that, if it is yours"
        )
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        url = getattr(metadata, name)
        if url is not None and not is_usable_url(url):
            raise ProviderUnavailableError(
                f"the discovery document has a {name} that is not used: it needs https, or http on this machine"
            )
    if metadata.end_session_endpoint is not None and not is_usable_url(metadata.end_session_endpoint):
        return structs.replace(metadata, end_session_endpoint=None)
    return metadata


class OpenIDError(Exception):
    """The provider did not sign anybody in."""


class ProviderUnavailableError(OpenIDError):
    """The provider cannot be reached, is too slow, or does not say what such a provider has to say."""


class SignInRefusedError(OpenIDError):
    """The provider, or an impostor, sent something that must not be trusted."""


class UnknownKeyError(SignInRefusedError):
    """No key of the provider made the signature. It may have got a new one."""
