"""The dashboard, which a browser loads without a token."""

from __future__ import annotations

from handlers.openapi.errors import problem
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, header, in_path, response
from handlers.openapi.paths.probes import IF_NONE_MATCH, UNCHANGED

_TAG = {"Etag": header(str, "Changes with the file.", 'W/"0d1f2b3c4a59685e0d1f2b3c4a59685e"')}
_HTML = {"text/html": {"schema": str}}
_PAGE = {
    "200": response("The page.", _HTML, _TAG),
    "503": response("What it needs of other packages is not installed.", _HTML, _TAG),
} | UNCHANGED

PATHS: dict[str, Described] = {
    "/": get(
        "getDashboard",
        "The dashboard",
        "What it shows comes from the operations above.",
        public=True,
        parameters=(IF_NONE_MATCH,),
        responses=_PAGE,
    ),
    "/docs": get(
        "getDocs",
        "This description as a page",
        "Each operation with its fields and examples, to try in a browser that has signed in.",
        public=True,
        parameters=(IF_NONE_MATCH,),
        responses=_PAGE,
    ),
    "/dashboard/{file}": get(
        "getDashboardFile",
        "A file of the dashboard",
        "Scripts, styles, pictures. Pages name them with an edition before the path, which changes with any file.",
        public=True,
        parameters=(in_path("file", str, "Its path; it may have slashes, and an edition before it."), IF_NONE_MATCH),
        responses={
            "200": response("The file.", {"*/*": {}}, _TAG),
            "404": problem("There is no such file.", "not found: GET /dashboard/nothing.js"),
        }
        | UNCHANGED,
    ),
}
