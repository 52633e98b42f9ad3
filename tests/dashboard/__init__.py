"""Tests of the dashboard: a package, so that its server and its browser end with the last of them."""
