"""The demo company: invented people with two months of calls, in a database of its own beside that of the bridge.

It is filled from a description (`company.toml`) and removed as a whole. Nothing that a bridge does with real records knows
of it.
"""
