"""Why there is no connection, in words for clients, without addresses."""

from __future__ import annotations

import errno
import socket
import ssl

from upstream.connections.tunnel import ProxyError

# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH; its messages have the name in them.
_OTHER_NAME = frozenset({62, 64})
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})


def describe(error: OSError | UnicodeError) -> str:
    """What kept a connection from being made: the name, the way, the other side, or which check of TLS."""
    if isinstance(error, ProxyError):
        return str(error)
    if isinstance(error, UnicodeError):
        return "its name is not a valid host name"
    if isinstance(error, socket.gaierror):
        return "its name is not found" if error.errno in _NO_SUCH_NAME else "its name cannot be looked up"
    if isinstance(error, ssl.SSLError):
        return _describe_tls(error)
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, ConnectionError):
        return "it closed the connection before it was made"
    if error.errno in _NO_ROUTE:
        return "there is no route to it"
    return "none of its addresses answered"


def _describe_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return "its certificate is for another name"
        return f"its certificate is not trusted ({error.verify_message})"
    if error.reason in _NO_TLS:
        return "it does not speak TLS"
    return f"TLS failed ({(error.reason or 'no reason given').lower().replace('_', ' ')})"
