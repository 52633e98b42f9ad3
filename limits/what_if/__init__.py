"""What a proposed policy would have done to past calls."""
