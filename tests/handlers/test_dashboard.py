import base64
import gzip
import hashlib
import json
import re

import pytest

from handlers.dashboard import LIBRARIES, ROOT, DashboardFiles

SOURCE = (ROOT / "index.html").read_text()
MAP = re.search(r'<script type="importmap">(.*?)</script>', SOURCE, re.DOTALL)[1]
OWN = sorted(
    path.relative_to(ROOT).as_posix()
    for kind in ("js", "css", "svg")
    for path in ROOT.rglob(f"*.{kind}")
    if "node_modules" not in path.parts
)
installed = pytest.mark.skipif(
    not all((ROOT / name).is_file() for name in LIBRARIES), reason="npm has not installed the dashboard's libraries"
)


def with_edition(page, edition):
    """What is served of a page: the addresses of files say which edition they are of."""
    return re.sub(r'"(\./)?dashboard/', rf'"\1dashboard/{edition}/', page)


@pytest.fixture(scope="module")
def edition():
    return DashboardFiles().edition()


@pytest.fixture(scope="module")
def index():
    return DashboardFiles().page()[1].plain.decode()


async def fetch(running, path, **headers):
    return await running.request("GET", path, headers)


def policy(response):
    directives = (directive.split() for directive in response.header("Content-Security-Policy").split(";"))
    return {name: values for name, *values in directives}


@installed
async def test_the_page_is_served_without_a_token_and_allows_only_its_own_scripts(running, edition, index):
    response = await fetch(running, "/")
    digest = base64.b64encode(hashlib.sha256(with_edition(MAP, edition).encode()).digest()).decode()
    assert (response.status, response.body.decode(), response.header("Cache-Control")) == (200, index, "no-cache")
    assert response.header("Content-Type") == "text/html; charset=utf-8"
    assert policy(response) == {
        "default-src": ["'none'"],
        "script-src": ["'self'", f"'sha256-{digest}'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("Referrer-Policy") == "no-referrer"
    assert response.header("Cross-Origin-Resource-Policy") == "same-origin"


async def test_its_files_are_served_and_kept_until_they_change_and_nothing_else_is(running):
    # each of its files is served
    kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    for name in OWN:
        response = await running.request("GET", f"/dashboard/{name}", {})
        assert (response.status, bytes(response.body)) == (200, (ROOT / name).read_bytes()), name
        assert response.header("Content-Type") == kinds[name.rpartition(".")[2]]
        assert policy(response)["script-src"] == ["'self'"]
    # nothing else of the folder or beside it is served
    for name in ELSEWHERE:
        response = await running.request("GET", f"/dashboard/{name}", {})
        assert response.status == 404
        assert json.loads(response.body) == {"message": f"not found: GET /dashboard/{name}"}
    # a browser that has a file is told so until it changes
    first = await fetch(running, "/dashboard/js/main.js")
    assert first.header("Cache-Control") == "no-cache"
    again = await fetch(running, "/dashboard/js/main.js", **{"If-None-Match": first.header("Etag")})
    assert (again.status, bytes(again.body)) == (304, b"")
    assert again.header("Etag") == first.header("Etag")
    other = await fetch(running, "/dashboard/js/app.js", **{"If-None-Match": first.header("Etag")})
    assert other.status == 200
    # a file of another edition is the present one and not kept
    for name in ("0123456789abcdef/js/main.js", "js/main.js"):
        response = await fetch(running, f"/dashboard/{name}")
        assert (response.status, bytes(response.body)) == (200, (ROOT / "js/main.js").read_bytes())
        assert response.header("Cache-Control") == "no-cache"
    # who takes gzip gets it
    response = await fetch(running, "/dashboard/js/app.js", **{"Accept-Encoding": "br, gzip"})
    assert (response.header("Content-Encoding"), response.header("Vary")) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(response.body) == (ROOT / "js/app.js").read_bytes()
    # head is answered and nothing can be sent
    response = await running.request("HEAD", "/dashboard/js/main.js", {})
    assert response.status == 200
    assert response.header("Content-Length") == str((ROOT / "js/main.js").stat().st_size)
    refused = await running.request("POST", "/", {})
    assert (refused.status, refused.header("Allow")) == (405, "GET, HEAD")


@installed
async def test_every_library_of_the_import_map_is_served_and_nothing_else_of_npm(running):
    mapped = {address.removeprefix("./dashboard/") for address in json.loads(MAP)["imports"].values()}
    assert mapped | {"node_modules/uplot/dist/uPlot.min.css"} == set(LIBRARIES)
    for name in LIBRARIES:
        assert (await fetch(running, f"/dashboard/{name}")).status == 200
    assert (ROOT / "node_modules/preact/package.json").is_file()
    assert (await fetch(running, "/dashboard/node_modules/preact/package.json")).status == 404


def imported(name):
    """A module with all that it imports before it runs."""
    modules, rest = set(), [ROOT / name]
    while rest:
        module = rest.pop().resolve()
        if module not in modules:
            modules.add(module)
            rest += [module.parent / each for each in re.findall(r'from "(\..+?)"', module.read_text())]
    return {module.relative_to(ROOT.resolve()).as_posix() for module in modules}


@installed
def test_the_page_asks_for_all_modules_of_the_overview_at_once(index, edition):
    preloaded = re.findall(rf'<link rel="modulepreload" href="dashboard/{edition}/(.+)">', index)
    needed = imported("js/main.js") | imported("js/views/overview/overview.js")
    assert sorted(preloaded) == sorted(needed | {one for one in LIBRARIES if one.endswith(("js", "mjs"))})


def test_every_module_of_the_page_belongs_to_a_view_or_to_all():
    views = re.findall(r'from: "(.+?)"', (ROOT / "js/frame/registry.js").read_text())
    used = imported("js/main.js").union(*[imported(f"js/views/{view}.js") for view in views])
    assert used == {name for name in OWN if name.endswith(".js")}


ELSEWHERE = (
    *(
        "package.json",
        "package-lock.json",
        "index.html",
        "not-installed.html",
        "js",
        "js/",
        "JS/main.js",
        "js\\main.js",
    ),
    *(
        "0123456789abcdef/",
        "0123456789abcdef/../server.py",
        "0123456789ABCDEF/js/main.js",
        "0123456789abcdef/index.html",
    ),
    *("../server.py", "%2e%2e/server.py", "js/../../server.py", "js/%2e%2e/%2e%2e/server.py", "/etc/passwd"),
    "js/main.js%00",
)


@installed
async def test_what_a_page_names_is_kept_by_browsers(running, index, edition):
    named = re.findall(r'"(?:\./)?dashboard/([^"]+)"', index)
    assert len(named) > len(OWN) / 3
    for name in named:
        response = await running.request("GET", f"/dashboard/{name}", {})
        assert (response.status, bytes(response.body)) == (
            200,
            (ROOT / name.removeprefix(f"{edition}/")).read_bytes(),
        ), name
        assert response.header("Cache-Control") == "public, max-age=31536000, immutable"


@installed
async def test_what_stands_behind_the_address_changes_nothing(running, index):
    for query in ("?q=1", "?q=%ff", "?%"):
        assert (await fetch(running, f"/{query}")).body.decode() == index
    assert (await fetch(running, "/dashboard/%ff")).status == 400


@pytest.fixture
def folder(tmp_path):
    """A dashboard before npm has been run."""
    for name in ("index.html", "not-installed.html", "js/main.js", "js/views/overview/overview.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes() if name.endswith("html") else b"")
    return tmp_path


def test_without_its_libraries_the_page_says_how_to_install_them(folder):
    files = DashboardFiles(folder)
    status, file = files.page()
    assert status == 503
    assert b"npm ci --omit=dev --ignore-scripts --prefix dashboard" in file.plain
    assert files.find(LIBRARIES[0]) is None
    for name in LIBRARIES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    status, file = files.page()
    assert (status, b"{" in file.plain.partition(b"</script>")[2]) == (200, False)
    assert f'"dashboard/{files.edition()}/js/main.js"'.encode() in file.plain


def test_a_file_that_changes_is_read_again(folder):
    (folder / "main.js").write_text("1")
    files = DashboardFiles(folder)
    before = files.find("main.js")
    assert files.find("main.js") is before
    (folder / "main.js").write_text("2")
    after = files.find("main.js")
    assert (before.plain, after.plain) == (b"1", b"2")
    assert before.tag != after.tag


def test_the_edition_changes_with_any_file_and_so_does_the_page(folder):
    (folder / "js/main.js").write_text("1")
    files = DashboardFiles(folder)
    first, (_, page) = files.edition(), files.page()
    assert files.page()[1] is page
    assert files.without_edition(f"{first}/js/main.js") == ("js/main.js", True)
    (folder / "js/main.js").write_text("22")
    second, (_, changed) = files.edition(), files.page()
    assert first != second
    assert (first.encode() in page.plain, second.encode() in changed.plain) == (True, True)
    assert page.tag != changed.tag
    assert files.without_edition(f"{first}/js/main.js") == ("js/main.js", False)
