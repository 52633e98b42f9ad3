"""Queries of sessions: their list, the threads of one, and the timeline of all its calls."""
