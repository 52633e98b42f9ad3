"""What makes a running server of the parts: assembly, jobs, signals, logs, the supervisor and its workers.

`server` and the entry points use it. Nothing of it is imported here: `runtime.preflight` has to work with an old Python.
"""

import gc

# So many more objects at a time are looked through for garbage; 700 are usual. Nearly all are freed without that, and to look
# took a twentieth of a call, and a tenth of a start. Here, as it holds for every process from its beginning.
gc.set_threshold(10_000)
