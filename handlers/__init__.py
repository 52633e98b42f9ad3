"""The HTTP edge: Tornado request handlers, one resource a file. No parsing of provider bytes, no queries."""
