"""Who calls, by what a request says of itself: its client, its agent, its conversation."""
