import json

from msgspec import Raw

from benchmarks.gateways.without import TRICKS
from benchmarks.prompt_blocks import CLAUDE_CODE_BYTES, alone, claude_code, short_chat
from intercept import blocks
from intercept.blocks import BeforeMessages, read_blocks, unpack


def test_a_request_of_an_agent_has_the_size_and_the_blocks_of_one():
    body = claude_code()
    read = unpack(read_blocks(body))
    assert 0.9 * CLAUDE_CODE_BYTES < len(body) <= CLAUDE_CODE_BYTES
    assert (len(read.tools), len(read.system)) == (18, 2)
    assert [one["role"] for one in json.loads(body)["messages"][:3]] == ["user", "assistant", "user"]
    assert len(read.messages) > 50
    assert body.count(b'"cache_control"') == 2


def test_a_short_chat_has_two_kilobytes():
    assert 1_500 < len(short_chat()) < 2_500
    assert len(unpack(read_blocks(short_chat())).messages) == 4


def test_a_server_without_them_reads_no_blocks(monkeypatch):
    for name in ("read_blocks", "pack_blocks"):
        monkeypatch.setattr(blocks, name, getattr(blocks, name))
    TRICKS["prompt_blocks"]()
    assert blocks.read_blocks(short_chat()) is None
    assert blocks.pack_blocks(b"", BeforeMessages(), [Raw(b"1")]) is None


def test_what_work_takes_alone_is_the_least_of_many_times(monkeypatch):
    monkeypatch.setattr("benchmarks.prompt_blocks.SECONDS", 0.001)
    assert 0 < alone(lambda: sum(range(100))) < 0.001
