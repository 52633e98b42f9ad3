"""Alerts: jobs that notice events, and jobs that send them."""
