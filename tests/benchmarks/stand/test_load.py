"""The load against the real upstream, and against one that goes wrong."""

import os
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPSConnection

import pytest

from benchmarks.gateways.comparison import upstream
from benchmarks.stand.certificates import make_certificates
from benchmarks.stand.conversations import CONVERSATIONS, CallSpec
from benchmarks.stand.load import Load, Plan, Target
from benchmarks.stand.processes import Process, cpu_seconds, family
from tests.cases import for_each
from tests.server_process import await_end


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with upstream(tmp_path_factory.mktemp("upstream"), os.sched_getaffinity(0)) as port:
        yield port


def run(port, spec, connections=3, **plan):
    return Load(Target(port), Plan(spec, connections, **{"seconds": 0.1, "warm_up": 0.02, **plan})).run()


def test_whole_answers_are_counted(port):
    totals = run(port, CallSpec())
    assert totals.failures == {}
    assert totals.responses > 5
    assert totals.events == 0
    assert len(totals.first_bytes) == pytest.approx(totals.responses, abs=3)
    assert all(nanoseconds > 0 for nanoseconds in totals.first_bytes)


@for_each("api", CONVERSATIONS)
def test_whole_streams_and_their_events_are_counted(port, api):
    totals = run(port, CallSpec(api, 20))
    assert totals.failures == {}
    assert totals.responses > 5
    assert totals.events / 20 == pytest.approx(totals.responses, abs=3)
    assert len(totals.delays) == 0


def test_paced_events_come_at_their_pace_and_say_how_long_they_took(port):
    began = time.monotonic()
    totals = run(port, CallSpec("chat", 1000, 20), connections=4, seconds=0.5)
    assert totals.failures == {}
    assert totals.responses == 0
    assert totals.all_events <= 4 * (time.monotonic() - began) * 1000 / 20 + 4
    assert totals.events > 0
    assert totals.open_streams == 4
    assert 0 < len(totals.delays) <= totals.events
    assert all(nanoseconds > 0 for nanoseconds in totals.delays)


def test_a_response_that_waits_comes_after_its_time(port):
    totals = run(port, CallSpec(wait_ms=100), connections=4, seconds=0.5)
    assert totals.failures == {}
    assert totals.responses >= 4
    assert min(totals.first_bytes) >= 100_000_000


def test_a_request_that_no_socket_takes_at_once_is_sent_whole(port):
    totals = run(port, CallSpec(history_bytes=12_000_000), connections=1, seconds=0.4)
    assert totals.failures == {}
    assert totals.all_responses >= 1


def test_an_upstream_with_a_certificate_speaks_tls(tmp_path):
    certificates = make_certificates(tmp_path)
    if certificates is None:
        pytest.skip("openssl is not installed")
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    spec = CallSpec("chat", 2000)
    with upstream(tmp_path, os.sched_getaffinity(0), certificates.server) as port:
        for host in ("127.0.0.1", "localhost"):
            connection = HTTPSConnection(host, port, timeout=10, context=trust)
            for _ in range(2):
                connection.request("POST", "/v1/chat/completions", spec.request_body())
                assert connection.getresponse().read().count(b"@") == spec.events
            connection.close()


def test_what_is_observed_is_observed_when_counting_begins_and_ends(port):
    times = iter([5, 7])
    totals = Load(Target(port), Plan(CallSpec(), 1, seconds=0.1, warm_up=0)).run(lambda: next(times))
    assert (totals.before, totals.after) == (5, 7)


def test_what_came_before_counting_began_is_in_the_sum_of_all(port):
    runs = (run(port, CallSpec("chat", 10), warm_up=warm_up) for warm_up in (0.15, 3.0))
    # On a busy machine this process may not run at all for a while.
    totals = next(one for one in runs if one.responses < one.all_responses)
    assert totals.responses > 0
    assert 0 < totals.events < totals.all_events
    assert totals.all_events / 10 == pytest.approx(totals.all_responses, abs=3)


def respond(server, response):
    """Send each client of a server the same, until the server is shut down."""
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            with client:
                if client.recv(100_000):
                    client.sendall(response)


@for_each(
    ("response", "reason"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", "closed before the response was whole"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n@\r\n0\r\n\r\n", "1 events instead of 2"),
        (b"", "closed before the response was whole"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be_is_told(response, reason):
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(respond, server, response)
        totals = run(server.getsockname()[1], CallSpec("chat", 2), connections=1, seconds=0.05)
        server.shutdown(socket.SHUT_RDWR)
    assert totals.responses == 0
    assert set(totals.failures) <= {reason, "ConnectionResetError"}
    assert totals.failures[reason] > 0


def test_a_process_is_measured_with_its_children_and_leaves_nothing_behind(tmp_path):
    child = "import signal, time\nwhile time.process_time() < 0.3: pass\nsignal.pause()"
    script = f"import subprocess, sys; print('x', flush=True); subprocess.run([sys.executable, '-c', {child!r}])"
    process = Process([sys.executable, "-c", script], log=tmp_path / "log", cores=os.sched_getaffinity(0))
    while len(pids := list(family(process.pid))) < 2 or cpu_seconds(pids[1]) < 0.05:
        pass
    least = sum(map(cpu_seconds, pids))
    use = process.use()
    assert use.cpu_seconds >= least
    assert use.resident_bytes > 5_000_000
    assert process.running
    process.stop()
    assert not process.running
    await_end(pids[1])
    assert process.last_words() == "x"
