"""Admission: pure algorithms with an injected clock, and the thin Tornado mixin that applies them."""
