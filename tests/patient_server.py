"""`python server.py` for tests that are about something else than how long it waits for MongoDB."""

import runpy

from tests.patience import be_patient
from tests.server_process import ROOT

if __name__ == "__main__":
    be_patient(setattr)
    runpy.run_path(str(ROOT / "server.py"), run_name="__main__")
