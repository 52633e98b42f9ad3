"""Who was in a folder before."""

from uuid import UUID

import pytest

from storage.admission.last_member import LastMember

ADA, BOB, EVE = UUID(int=0xADA), UUID(int=0xB0B), UUID(int=0xE0E)


def test_the_one_before_is_told_unless_it_still_runs(tmp_path):
    (tmp_path / "limits-member").write_bytes(b"{")
    first, second, third = LastMember(tmp_path), LastMember(tmp_path), LastMember(tmp_path)
    assert first.take_over(ADA) is None
    assert second.take_over(BOB) is None
    first.close()
    assert third.take_over(EVE) == ADA
    third.close()


def test_without_a_folder_nothing_is_noted():
    last = LastMember(None)
    assert last.take_over(ADA) is None
    last.close()


@pytest.mark.expects_log(r"^WARNING storage\.admission\.last_member: .*limits-member cannot be written: ")
def test_a_folder_that_cannot_be_used_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    assert LastMember(tmp_path / "file").take_over(ADA) is None
