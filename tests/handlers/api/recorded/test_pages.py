from msgspec import Struct

from handlers.api.recorded.pages import around_list


def test_the_last_list_of_a_resource_can_be_written_piece_by_piece():
    class Page(Struct):
        title: str
        results: list[int]
        more: bool

    assert around_list(Page("[]", [], more=True)) == (b'{"title":"[]","results":[', b'],"more":true}')
