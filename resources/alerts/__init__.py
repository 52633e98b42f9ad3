"""Alerts, as the API shows them."""
