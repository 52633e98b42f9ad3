"""What serves a request below a provider: it is recorded, passed through, or told that nothing is there."""
