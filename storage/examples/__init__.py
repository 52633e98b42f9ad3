"""An invented company, to look around in: people with up to two months of calls, and how all of it is removed again.

What is invented has ids of its own (`intercept.ids`). No call of it goes to a provider, and none counts for anybody else.
"""
