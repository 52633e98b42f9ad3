"""The outbox: every record on its way to MongoDB, in memory and on disk."""
