"""Policies: their documents, changes of them, and what each process has of them in memory."""
