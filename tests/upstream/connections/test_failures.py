from __future__ import annotations

import errno
import socket
import ssl

from tests.cases import for_each
from upstream.connections.failures import describe


def tls(reason):
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


def certificate(code, message):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: api.secret.example")
    error.verify_code, error.verify_message = code, message
    return error


@for_each(
    ("error", "why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name is not found"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "its name cannot be looked up"),
        (UnicodeError("label too long"), "its name is not a valid host name"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "10.0.0.7"), "it refused the connection"),
        (ConnectionResetError(), "it closed the connection before it was made"),
        (OSError(errno.EHOSTUNREACH, "10.0.0.7"), "there is no route to it"),
        (OSError("Multiple exceptions: 10.0.0.7"), "none of its addresses answered"),
        (certificate(10, "certificate has expired"), "its certificate is not trusted (certificate has expired)"),
        (certificate(62, "Hostname mismatch, for 'secret.example'"), "its certificate is for another name"),
        (certificate(64, "IP address mismatch, for '10.0.0.7'"), "its certificate is for another name"),
        (tls("WRONG_VERSION_NUMBER"), "it does not speak TLS"),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), "TLS failed (tlsv1 alert protocol version)"),
        (tls(None), "TLS failed (no reason given)"),
    ],
)
def test_what_kept_a_connection_from_being_made_is_said_without_an_address(error, why):
    assert describe(error) == why
    assert "10.0.0.7" not in why
    assert "secret" not in why
