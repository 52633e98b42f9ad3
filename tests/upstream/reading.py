"""Reads a response: one piece at a time, or to its end."""


async def read_piece(response):
    """What comes next of the body of a response; b"" is its end."""
    pieces = []

    def take_one(piece):
        pieces.append(piece)
        return False

    assert await response.stream_to(take_one) is not bool(pieces)
    return b"".join(pieces)


async def read_all(response):
    """The body of a response."""
    pieces = []

    def take(piece):
        pieces.append(piece)
        return True

    assert await response.stream_to(take)
    return b"".join(pieces)
