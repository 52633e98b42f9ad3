import pytest

from settings import Settings
from settings.network import network_to
from upstream.connections.network import DIRECT, Network, Proxy


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
