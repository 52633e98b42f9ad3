"""The marks of injected faults: in the bytes of a response its reader fails, as a header of a request its handler."""

MARK = b"sabotage"
HEADER = b"X-Sabotage"
