"""Signing in with a browser: sessions, what verifies them, and the trail of accesses."""
