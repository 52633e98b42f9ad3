"""What is derived from ended interceptions: rollups, sessions and threads, each exactly once, in the background.

`job.DerivedJob` does it. Rollups, histograms and session documents are pure.
"""
