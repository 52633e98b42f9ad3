"""Where compiled modules of an installed bridge are, before its settings are read."""

import os
from pathlib import Path

from runtime.isolated import cache_of
from tests.cases import for_each


@for_each(
    ("arguments", "environ", "name"),
    ([], {}, "default"),
    (["serve"], {"AIBRIDGE_DATA_DIR": "of the variable"}, "of the variable"),
    (["serve"], {"CODER_AIBRIDGE_DATA_DIR": "of the long one"}, "of the long one"),
    (["serve", "--data-dir", "of the flag"], {"AIBRIDGE_DATA_DIR": "of the variable"}, "of the flag"),
    (["serve", "--aibridge-data-dir=of the flag"], {}, "of the flag"),
    (["users", "--data-dir"], {}, "default"),
)
def test_it_is_in_the_data_dir_of_the_server(arguments, environ, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cache_of(arguments, environ, "default") == tmp_path / name / "cache"
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_to_and_none_at_all_are_not_used(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    for name in ("open", "file", "file/below"):
        assert cache_of([], {}, str(tmp_path / name)) == Path(os.devnull)
