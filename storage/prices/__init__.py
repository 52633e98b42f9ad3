"""The operator's own prices: kept, followed by every process, and applied to past calls."""
