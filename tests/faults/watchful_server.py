"""`python server.py` that looks for dead servers each second. Else a test waits ten for the end of what one left."""

import runpy

from storage.recording import left_calls
from tests.server_process import ROOT

if __name__ == "__main__":
    left_calls.WATCH_SECONDS = 1
    runpy.run_path(str(ROOT / "server.py"), run_name="__main__")
