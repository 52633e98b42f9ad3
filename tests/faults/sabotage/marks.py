"""What makes a sabotaged server fail: in the bytes of an answer its reader, as a header its handler."""

MARK = b"sabotage"
HEADER = b"X-Sabotage"
