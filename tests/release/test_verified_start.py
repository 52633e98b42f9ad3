"""Files that somebody put beside an installed bridge: they do not run, neither in the server nor in its workers."""

import py_compile
from importlib.util import cache_from_source


def test_what_python_runs_by_itself_and_modules_of_other_folders_do_not_run(attacked, mark, foreign, tmp_path):
    folder = tmp_path / "folder"
    for name in ("tornado/__init__.py", "json.py", "sitecustomize.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(foreign)
    here = {"cwd": folder, "PYTHONPATH": str(folder)}
    attacked.write("foreign.pth", f"import sys; {foreign}")
    attacked.write("sitecustomize.py", foreign)
    attacked.write("usercustomize.py", foreign)
    assert attacked.run("--version", **here).returncode == 0
    assert not mark.exists()
    attacked.run("-c", "", program="python")
    assert mark.exists()  # so it would have


def test_programs_of_the_current_folder_do_not_run(attacked, mark, tmp_path):
    for name in ("basename", "dirname", "python3", "readlink", "sh"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch '{mark}'\n")
        (tmp_path / name).chmod(0o755)
    assert attacked.run("--version", cwd=tmp_path, PATH=".:/usr/bin:/bin").returncode == 0
    assert not mark.exists()


def test_what_is_compiled_beside_a_module_does_not_run(attacked, mark, foreign, tmp_path):
    (tmp_path / "foreign.py").write_text(foreign)
    compiled = py_compile.compile(str(tmp_path / "foreign.py"), cfile=str(tmp_path / "foreign.pyc"))
    source = attacked.packages / "tornado/__init__.py"
    status = source.stat()
    header = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + status.st_size.to_bytes(4, "little")
    content = (tmp_path / "foreign.pyc").read_bytes()
    assert compiled
    attacked.write(cache_from_source("tornado/__init__.py"), content[:8] + header + content[16:])
    assert attacked.run("--version").returncode == 0
    assert not mark.exists()
    attacked.run("-c", "import tornado", program="python")
    assert mark.exists()


def test_a_change_refuses_the_start_and_is_named_and_a_developer_may_start_all_the_same(attacked, mark, foreign):
    assert attacked.run("--version").returncode == 0
    path = attacked.write("tornado/web/__init__.py", foreign)  # is imported before the module tornado/web.py
    refused = attacked.run("--version")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"AI Bridge does not start: {path} belongs to no package ")
    assert not mark.exists()
    attacked.run("--no-verify", "serve", "--help")
    assert mark.exists()
