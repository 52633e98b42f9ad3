from limits.admission import Undecided, Verdict


def test_who_is_not_asked_refuses_nobody_and_has_nothing_to_say():
    verdict: Verdict = Undecided()
    assert (verdict.refused_by, verdict.slot, verdict.rates) == (None, None, ())
