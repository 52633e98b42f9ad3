"""Interceptions as they start and end: one change stream of a process, told to all who listen (`live.Live`)."""
