"""Alerts: webhooks, and an outbox of deliveries."""
