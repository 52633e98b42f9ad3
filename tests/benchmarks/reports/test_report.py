"""The report of results: tables, verdicts, the picture, and the page."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.gateways.comparison import RESULTS, SECTION, section
from benchmarks.reports.chart import svg
from benchmarks.reports.page import PICTURE, with_section
from benchmarks.reports.results import Results
from benchmarks.reports.tables import AS_IT_IS, LATENCY, THROUGHPUT, comparison, report, targets
from benchmarks.reports.targets import TARGETS
from tests.docs.pages import page


@pytest.fixture
def results():
    results = Results(date="2026-01-02 10:00", machine="a machine", cores=4, seconds=600)
    results.versions = {"nginx": "1.2"}
    for value in (1.0, 3.0, 2.0):
        results.add("direct", {"blocking chat 32": 9000.0, "first byte 1 p50": 0.1})
        results.add("nginx", {"blocking chat 32": 5000.0 + value, "first byte 1 p50": 0.1 + value})
        results.add("AI Bridge", {"blocking chat 32": 1000 * value, "first byte 1 p50": 2 + value})
    results.add("AI Bridge, 2 workers", {"blocking chat 32": 4000.0})
    results.add("Portkey", {"blocking chat 32": 500.0, "paced cpu": 0.5})
    return results


def row(table, label):
    return next(line for line in table.splitlines() if line.startswith(f"| {label} |"))


def test_a_figure_is_shown_for_every_gateway_with_its_range(results):
    assert row(comparison(results, THROUGHPUT), "blocking requests/s, 32 at a time") == (
        "| blocking requests/s, 32 at a time | 9,000 | 5,002 (5,001 to 5,003) | 2,000 (1,000 to 3,000) | 4,000 | 500 |"
    )


def test_latency_is_shown_above_what_it_is_without_a_gateway(results):
    table = comparison(results, LATENCY, leave_out=["direct"])
    assert row(table, "first byte, 1 at a time, p50") == (
        "| first byte, 1 at a time, p50 | 2.00 (1.00 to 3.00) | 3.90 (2.90 to 4.90) |  |  |"
    )


def test_rows_without_any_figure_are_left_out(results):
    results.add("direct", {"wait 32 first byte p50": 300.5})
    results.add("nginx", {"wait 32": 106.0, "wait 32 first byte p50": 301.0})
    assert comparison(results, AS_IT_IS).splitlines()[2:] == [
        "| first byte after 0.3 s, 32 at a time: requests/s |  | 106 |  |  |  |",
        "| first byte after 0.3 s, 32 at a time: ms added, p50 |  | 0.500 |  |  |  |",
    ]


def test_a_target_is_met_missed_or_not_measured(results):
    table = targets([results])
    assert row(table, "blocking requests/s at 32 connections, of Portkey's").endswith("| at least 3x | 4.00x, met |")
    assert row(table, "first byte above nginx, one connection, p50").endswith("| at most 1 ms | 1.90 ms, missed |")
    assert row(table, "burst streams/s, of nginx's").endswith("| at least 0.8x | not measured |")
    assert table.count("\n") == len(TARGETS) + 1


def test_two_workers_are_judged_only_where_there_are_cores_for_them(results):
    label = "blocking requests/s with two workers, of one's (on 3 cores or more)"
    assert row(targets([results]), label).endswith("| 2.00x, met |")
    results.cores = 2
    assert row(targets([results]), label).endswith("| not measured |")


def test_the_targets_of_each_run_stand_side_by_side(results):
    other = Results(date="2026-01-01", machine="another machine, 8 cores", cores=8)
    other.add("AI Bridge", {"start": 2.0})
    table = targets([results, other])
    assert row(table, "").startswith("|  | target | a machine, 2026-01-02 | another machine, 2026-01-01 |")
    assert row(table, "start until a call is answered, database running").endswith("| not measured | 2.00 s, missed |")


def test_a_report_has_machine_versions_rounds_and_notes(results):
    results.note("LiteLLM was left out")
    results.note("LiteLLM was left out")
    written = report([results])
    assert written.startswith("2026-01-02 10:00, a machine. nginx 1.2. Rounds: 3; 10 minutes.\n")
    assert written.endswith("### Notes of the run\n\n- LiteLLM was left out")


def test_of_each_processor_the_last_results_are_kept_and_read_as_they_were_written(results, tmp_path):
    folder = tmp_path / "results"
    older = Results(date="2026-01-02 09:00", machine="Some(R) Processor @ 2 GHz, 2 cores", cores=2)
    for one in (Results(date="2025-12-31", machine=older.machine, cores=2), older, results):
        one.save(folder)
    assert {path.name for path in folder.iterdir()} == {"a-machine.json", "some-r-processor-2-ghz.json"}
    assert Results.load_all(folder) == [results, older]


def test_the_picture_shows_each_gateway_with_its_figure(results):
    texts = [element.text for element in ET.fromstring(svg(results)).iter() if element.text]
    words = [text for text in texts if text.strip()]
    assert words[:3] == ["Blocking requests/s, 32 at a time", "nginx", "5,002"]
    assert words[-3:] == ["Processor ms per 1,000 events at 3,000 a second", "Portkey", "500"]
    assert "direct" not in words


def test_a_section_of_a_page_is_replaced_and_the_rest_stays():
    old = "# A\n<!-- x -->\nold\n<!-- end of x -->\nrest\n"
    new = with_section(old, "x", "new")
    assert new == "# A\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nrest\n"
    assert with_section(new, "x", "new") == new
    with pytest.raises(ValueError, match="the page has no section 'y'"):
        with_section(old, "y", "new")


def test_the_page_and_the_picture_are_what_is_written_of_the_results_that_are_kept():
    runs, written = Results.load_all(RESULTS), page("docs/performance.md")
    assert with_section(written, SECTION, section(runs)) == written
    assert PICTURE.read_text() == svg(runs[0])
