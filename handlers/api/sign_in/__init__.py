"""Signing in: people in a browser, and programs through one."""
