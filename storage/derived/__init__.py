"""What is derived from ended interceptions: rollups, sessions and threads, each exactly once, in the background.

`rollup_job.RollupJob`, `sessions.session_job.SessionJob` and `sessions.threads.Threads` are jobs; rollups, histograms and
session documents are pure.
"""
