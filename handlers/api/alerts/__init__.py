"""Webhooks for alerts."""
