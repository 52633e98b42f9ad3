"""What calls, refusals and sessions add up to, in groups of what they have in common."""
