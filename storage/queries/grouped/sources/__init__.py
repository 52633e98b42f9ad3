"""Where groups are read from: rollups, records, refusals, sessions, and calls that were found one by one."""
