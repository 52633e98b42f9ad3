"""What calls cost, for finance."""

from __future__ import annotations

from typing import Literal

from handlers.api.money.spend import TOO_SLOW
from handlers.openapi.errors import BUSY, retriable
from handlers.openapi.methods import get
from handlers.openapi.parts import Described, header, query, response
from resources.money.spend import SPEND_BY

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/spend/export": get(
        "exportSpend",
        "Export what calls cost",
        "A row for each period and each combination of `group_by`. Each call is in one row. Members see their own calls.",
        parameters=(
            query("from", str, "The first day in UTC; without it the first one of this month.", example="2026-11-01"),
            query(
                "to", str, "The day after the last one; without it the present day is the last.", example="2026-12-01"
            ),
            query(
                "group_by",
                str,
                f"Some of {', '.join(SPEND_BY)}, separated by commas. `group` is all groups of the user together.",
                example="user,model",
            ),
            query("span", Literal["day", "month"], "The period of a row.", default="month"),
            query(
                "format",
                Literal["csv", "focus"],
                "CSV (RFC 4180), or the columns of FOCUS 1.4, with a row for each day.",
                default="csv",
            ),
        ),
        responses={
            "200": response(
                "A download. If something fails half way, the connection is closed early.",
                {"text/csv": {"schema": str}},
                {"Content-Disposition": header(str, "A file name.", 'attachment; filename="spend.csv"')},
            ),
            "429": BUSY,
            "503": retriable("The database is unavailable, or it takes too long.", TOO_SLOW),
        },
    )
}
