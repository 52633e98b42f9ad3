from hypothesis import given
from hypothesis import strategies as st

from limits.protection.mixin import client_key
from tests.cases import for_each


@for_each(
    ("ip", "key"),
    ("203.0.113.7", "203.0.113.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::", "2001:db8:1:2::/64"),
    ("::ffff:203.0.113.7", "203.0.113.7"),
    ("fe80::1%eth0", "fe80::/64"),
    ("::1", "::/64"),
    ("", ""),
    ("not an address", "not an address"),
)
def test_a_client_without_a_token_is_known_by_its_network(ip, key):
    assert client_key(ip) == key


@given(st.text())
def test_no_text_is_too_strange_to_be_a_client(text):
    assert isinstance(client_key(text), str)
