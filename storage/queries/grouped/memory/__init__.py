"""What a process remembers of rollups, and reads no second time while these are as they were."""
