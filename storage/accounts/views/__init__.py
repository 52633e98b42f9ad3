"""Saved views of the dashboard: what they are, and who adds, changes and removes them."""
