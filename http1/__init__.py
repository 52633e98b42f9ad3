"""HTTP/1.1 as clients speak it, under Tornado's request handlers."""
