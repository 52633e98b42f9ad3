"""What can go wrong with an OpenID provider. Texts are for the operator's log, and hold no secret."""

from __future__ import annotations


class OpenIDError(Exception):
    """The provider did not sign anybody in."""


class ProviderUnavailableError(OpenIDError):
    """The provider cannot be reached, is too slow, or does not say what such a provider has to say."""


class SignInRefusedError(OpenIDError):
    """The provider, or an impostor, sent something that must not be trusted."""


class UnknownKeyError(SignInRefusedError):
    """No key of the provider made the signature. It may have got a new one."""
