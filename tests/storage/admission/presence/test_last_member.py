"""Who was in a folder before."""

import os
from uuid import UUID

import pytest

from storage.admission.presence.last_member import LastMember

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
CANNOT = r"^WARNING storage\.admission\.presence\.last_member: .*limits-member cannot be written: "


@pytest.fixture
def come(tmp_path):
    """Have a server start in the folder, which the one before has left."""
    there = []

    def come(server):
        for one in there:
            one.close()
        there.append(LastMember(tmp_path))
        return there[-1], there[-1].take_over(server)

    yield come
    for one in there:
        one.close()


def test_the_one_before_is_told_unless_it_admitted_what_nobody_knows_of(come):
    assert come(ADA)[1] is None
    bob, before = come(BOB)
    assert before == ADA
    bob.note(BOB, alone=True)
    ada, before = come(ADA)
    assert before is None
    ada.note(ADA, alone=True)
    ada.note(ADA, alone=False)
    assert come(BOB)[1] == ADA


def test_one_that_still_runs_is_not_taken_over(come, tmp_path):
    come(ADA)
    other = LastMember(tmp_path)
    assert other.take_over(BOB) is None
    other.note(BOB, alone=True)
    assert come(BOB)[1] == ADA


def test_what_cannot_be_read_says_nothing(come, tmp_path):
    (tmp_path / "limits-member").write_bytes(b"{")
    assert come(ADA)[1] is None
    assert come(BOB)[1] == ADA


def test_without_a_folder_nothing_is_noted():
    last = LastMember(None)
    assert last.take_over(ADA) is None
    last.note(ADA, alone=True)
    last.close()


@pytest.mark.expects_log(CANNOT)
def test_a_folder_that_cannot_be_used_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    last = LastMember(tmp_path / "file")
    assert last.take_over(ADA) is None
    last.note(ADA, alone=True)


@pytest.mark.expects_log(CANNOT)
def test_a_disk_that_is_full_is_told_of_once(come, monkeypatch, caplog):
    ada, _ = come(ADA)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    ada.note(ADA, alone=True)
    ada.note(ADA, alone=False)
    assert len(caplog.records) == 1
