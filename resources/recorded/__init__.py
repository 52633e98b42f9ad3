"""Records: interceptions, sessions, refusals, statistics, and the formats of exports."""
