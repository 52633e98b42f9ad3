"""Who sends a request: its credentials, its address behind proxies, its origin, and the trail of those who got in."""
