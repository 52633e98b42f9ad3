"""Alerts: what happened, who is told of it, and an outbox of what is still to be told."""
