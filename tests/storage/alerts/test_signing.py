from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

from storage.alerts.signing import format_secret, signed_headers

# The example of the specification of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'


def test_a_message_is_signed_as_the_specification_shows():
    assert signed_headers(SECRET, ID, TIMESTAMP, BODY) == [
        ("webhook-id", ID),
        ("webhook-timestamp", str(TIMESTAMP)),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]


def test_a_secret_is_its_bytes_in_base64():
    secret = format_secret(bytes(range(32)))
    key = b64decode(secret.removeprefix("whsec_"))
    (*_, (_, signature)) = signed_headers(secret, "msg_1", 5, b"{}")
    assert key == bytes(range(32))
    assert signature == "v1," + b64encode(hmac.new(key, b"msg_1.5.{}", hashlib.sha256).digest()).decode()
