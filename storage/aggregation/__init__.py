"""Aggregation of ended interceptions: rollups, sessions and threads, each exactly once, in the background.

`rollups.Rollups`, `grouping.Grouping` and `threads.Threads` are jobs; rollups, histograms and session documents are pure.
"""
