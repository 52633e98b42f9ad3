"""An HTTP/1.1 server for Tornado's request handlers."""
