"""What is made of interceptions that have ended: cells, sessions and threads, each exactly once, in the background.

`rollups.Rollups`, `grouping.Grouping` and `threads.Threads` are jobs; cells, histograms and session documents are pure.
"""
