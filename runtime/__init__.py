"""What makes a running server of the parts: assembly, jobs, signals, logs, the supervisor and its workers.

`server` and the entry points use it. Nothing is imported here: `runtime.preflight` has to work with an old Python.
"""
