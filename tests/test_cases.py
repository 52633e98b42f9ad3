import asyncio

import pytest

from tests.cases import for_each


def test_every_case_is_tried_and_those_that_fail_are_named():
    tried = []

    @for_each(("number", "text"), [(1, "a"), (2, "b"), (3, "c")], ids="xyz")
    @for_each("bound", [2, 3], ids=str)
    def check(number, text, bound):
        tried.append((number, text, bound))
        assert number < bound

    with pytest.raises(ExceptionGroup, match="2 of 3 cases: y, z") as raised:
        check()
    assert tried == [(n, t, b) for n, t in ((1, "a"), (2, "b"), (3, "c")) for b in (2, 3)]
    named = [(each.__notes__, [one.__notes__ for one in each.exceptions]) for each in raised.value.exceptions]
    assert named == [(["case: y"], [["case: 2"]]), (["case: z"], [["case: 2"], ["case: 3"]])]


def test_an_error_that_does_not_come_is_a_case_that_failed():
    @for_each("base", [10, 16], ids=str)
    @for_each("text", ["1", "x"])
    def check(base, text):
        with pytest.raises(ValueError, match="invalid"):
            int(text, base)

    with pytest.raises(BaseExceptionGroup, match="2 of 2 cases") as raised:
        check()
    named = [(each.__notes__, [one.__notes__ for one in each.exceptions]) for each in raised.value.exceptions]
    assert named == [(["case: 10"], [["case: '1'"]]), (["case: 16"], [["case: '1'"]])]


@for_each("number", [1, 2])
def test_fixtures_are_there_beside_the_cases(number, tmp_path):
    assert number
    assert tmp_path.is_dir()


def test_cases_that_wait_are_tried_one_after_another():
    tried = []

    @for_each("number", [1, 2, 3])
    async def check(number):
        await asyncio.sleep(0)
        tried.append(number)
        assert number == 2

    with pytest.raises(ExceptionGroup, match="2 of 3 cases: 1, 3"):
        asyncio.run(check())
    assert tried == [1, 2, 3]
