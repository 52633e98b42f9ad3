"""Webhooks that receive alerts."""
