"""Admission: pure algorithms with an injected clock."""
