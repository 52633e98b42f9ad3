"""Pages with their rows decoded, to be compared."""


class Decoded:
    """What is asked of lists, with the rows of a page as documents."""

    def __init__(self, lists):
        self._lists = lists

    def __getattr__(self, name):
        return getattr(self._lists, name)

    async def page(self, *requested, **more):
        count, rows = await self._lists.page(*requested, **more)
        return count, list(rows)
