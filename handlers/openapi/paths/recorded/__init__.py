"""What was recorded: interceptions, sessions, refusals, statistics, and the values that filters offer."""
