"""What all requests to providers share: made once for a server."""
