"""The warnings of the server at its start, without a running server."""

from ipaddress import ip_network

import pytest

from runtime.processes.serving import warn_of_plain_http
from settings import Settings
from tests.server_process import Bound


@pytest.mark.parametrize(
    ("name", "setting", "is_warned"),
    [
        (("0.0.0.0", 4001), {}, True),
        (("2001:db8::7", 4001, 0, 0), {}, True),
        (("127.0.0.1", 4001), {}, False),
        (("::1", 4001, 0, 0), {}, False),
        (("0.0.0.0", 4001), {"tls_cert_file": "cert.pem"}, False),
        (("0.0.0.0", 4001), {"trusted_proxies": (ip_network("10.0.0.0/8"),)}, False),
    ],
)
def test_who_is_reached_without_tls_from_elsewhere_is_warned(name, setting, is_warned, log_watch, expected_logs):
    warning = r"^WARNING aibridge: clients reach 127\.0\.0\.1:4001 without TLS: set tls-cert-file, or trusted-proxies"
    if is_warned:
        expected_logs.append(warning)
    warn_of_plain_http(Settings(**setting), [Bound(*name)])
    assert log_watch.has(warning) is is_warned
