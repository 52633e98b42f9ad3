"""The four kinds of limits, each counted by itself: concurrency, rate, tokens, budget."""
