from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

from storage.alerts.documents import (
    FIRST_RETRY_SECONDS,
    MAX_ATTEMPTS,
    MAX_RETRY_SECONDS,
    event_id_of,
    format_secret,
    retry_seconds,
    signed_headers,
)
from tests.cases import for_each

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


def test_the_id_of_a_message_follows_from_what_happened():
    assert event_id_of("budget:a") == event_id_of("budget:a") != event_id_of("budget:b")
    assert len(event_id_of("x")) == len("msg_") + 32


@for_each(("attempts", "seconds"), [(1, 10), (2, 40), (3, 160), (6, 10_240), (7, 21_600), (18, 21_600)])
def test_each_wait_is_longer_than_the_one_before_up_to_six_hours(attempts, seconds):
    assert retry_seconds(attempts) == seconds


def test_the_first_retry_comes_within_thirty_seconds_and_the_last_after_three_days():
    waits = [retry_seconds(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert waits[0] == FIRST_RETRY_SECONDS < 30
    assert 2.5 * 86_400 < sum(waits) < 3.5 * 86_400
    assert max(waits) == MAX_RETRY_SECONDS
