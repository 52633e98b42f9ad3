"""Policies: who may use which model, and how much of it. Pure.

A policy (`policy.py`) is of everyone, a group, a user or a token. `compiled.py` says which models it means. All policies
together are a book, which says what applies to a caller (`effective.py`).
"""
