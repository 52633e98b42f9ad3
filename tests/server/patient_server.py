"""`python server.py` with longer timeouts of MongoDB, for tests of other things."""

import runpy

from tests.mongodb.database_timeouts import lengthen_timeouts
from tests.server_process import ROOT

if __name__ == "__main__":
    lengthen_timeouts(setattr)
    runpy.run_path(str(ROOT / "server.py"), run_name="__main__")
