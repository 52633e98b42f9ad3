"""What was recorded: calls, sessions, refusals, errors, and what they add up to."""
