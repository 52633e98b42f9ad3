"""Alerts: who notices what happened, and who tells it."""
