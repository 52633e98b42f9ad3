from benchmarks.micro import codecs, limiters, parsers, readers, responses, signatures
from tests.cases import for_each

PARTS = [*readers(), *parsers(), *limiters(), *codecs(), *responses(), *signatures()]


@for_each("part", PARTS, ids=[part.name for part in PARTS])
def test_every_part_does_its_work_again_and_again(part):
    assert part.amount > 0
    for _ in range(3):
        part.call()
