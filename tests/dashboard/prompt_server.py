"""`python server.py` that waits long for MongoDB, and counts, groups, indexes and sends soon after a change.

Somebody who looks at a page is told of a call within a second or two; a test would wait for that long each time.
"""

import runpy

from runtime.alerts import sender
from storage.derived import job as derived
from storage.mongo import event_counts
from tests.mongodb.database_timeouts import lengthen_timeouts
from tests.server_process import ROOT

SECONDS = 0.25

if __name__ == "__main__":
    lengthen_timeouts(setattr)
    for module, name in (
        (derived, "PAUSE_SECONDS"),
        (event_counts, "WRITE_SECONDS"),
        (sender, "POLL_SECONDS"),
    ):
        setattr(module, name, SECONDS)
    runpy.run_path(str(ROOT / "server.py"), run_name="__main__")
