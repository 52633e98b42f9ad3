"""Live events of interceptions: one change stream for all listeners of a process (`live.Live`)."""
