"""Measurements of the bridge; docs/performance.md has their results."""
