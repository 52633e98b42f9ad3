import pytest

from intercept.records import EndReason
from intercept.refusals import Rule


@pytest.mark.gen_test
async def test_every_rule_and_every_end_of_a_failed_call_is_said_in_words(running):
    status, said = await running.get("/api/v2/aibridge/vocabulary", await running.user("grace"))
    assert status == 200
    assert [one["rule"] for one in said["rules"]] == list(Rule)
    assert [one["end_reason"] for one in said["ends"]] == [one for one in EndReason if one is not EndReason.COMPLETED]
    assert all(one["meaning"].endswith((".", ").")) for one in said["rules"] + said["ends"])
