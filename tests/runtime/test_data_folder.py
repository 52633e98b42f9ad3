import stat
from pathlib import Path

import pytest

from runtime.data_folder import make_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "parent" / "data"


def test_a_folder_that_is_missing_is_made_private(folder):
    make_private(folder)
    assert mode(folder) == 0o700


@pytest.mark.parametrize("before", [0o755, 0o777, 0o2770, 0o700, 0o500])
def test_a_folder_that_was_there_is_made_private_with_all_that_is_ours(folder, before):
    (folder / "spool").mkdir(parents=True, mode=0o755)
    (folder / "demo-token").touch(mode=0o644)
    folder.chmod(before)
    make_private(folder)
    assert mode(folder) == before & 0o700
    assert (mode(folder / "spool"), mode(folder / "demo-token")) == (0o700, 0o600)


@pytest.mark.expects_log(
    r"WARNING runtime\.data_folder: the data-dir .+ is open to other accounts \(mode 755\), and it has other files in it, "
    r'such as "log": set data-dir to a folder of the bridge\'s own'
)
def test_a_folder_that_is_shared_is_left_open_and_what_is_ours_in_it_is_not(folder):
    (folder / "spool").mkdir(parents=True, mode=0o755)
    (folder / "log").mkdir()
    folder.chmod(0o755)
    make_private(folder)
    assert (mode(folder), mode(folder / "spool")) == (0o755, 0o700)


@pytest.mark.expects_log(
    r"WARNING runtime\.data_folder: the data-dir .+ is open to other accounts \(mode 755\), and it belongs to another "
    r"account: let that one run `chmod 700` on it"
)
def test_the_folder_of_another_account_is_warned_about(folder, monkeypatch):
    folder.mkdir(parents=True, mode=0o755)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)  # the tests may run as root, who may do everything
    make_private(folder)
    assert mode(folder) == 0o755


def test_what_cannot_be_a_folder_is_left_to_who_uses_it(tmp_path):
    (tmp_path / "file").touch()
    make_private(tmp_path / "file" / "data")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
