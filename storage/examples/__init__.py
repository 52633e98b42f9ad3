"""An invented company: people with up to two months of calls, and the removal of all of it.

Invented documents have ids of a special form (`intercept.ids`). No invented call goes to a provider or counts for real users.
"""
