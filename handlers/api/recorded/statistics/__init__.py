"""`/api/v2/aibridge/stats`: what calls, refusals and sessions add up to."""
