"""Who has a folder, and who had it before."""

import pytest

from storage.locked_folder import FolderInUseError, LockedFolder


def test_the_one_before_is_told_when_it_has_ended(tmp_path):
    (tmp_path / "lock").write_bytes(b"\xff{")
    first = LockedFolder(tmp_path, "1 ada")
    with pytest.raises(FolderInUseError, match=r"^1 ada$"):
        LockedFolder(tmp_path, "2 bob")
    first.close()
    assert first.before == "\ufffd{"
    second = LockedFolder(tmp_path)
    assert second.before == "1 ada"
    second.close()
    third = LockedFolder(tmp_path)
    assert third.before == ""
    third.close()
