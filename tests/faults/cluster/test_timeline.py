"""The picture of waits while things happen."""

from xml.etree import ElementTree as ET

from tests.faults.cluster.timeline import Band, svg

SVG = "{http://www.w3.org/2000/svg}"
WAITS = [(0.0, 0.0001), (25.0, 0.1), (50.0, 100.0)]
BANDS = [Band("a <server> is paused", 10.0, 30.0), Band("the primary is killed", 40.0, 60.0, database=True)]


def drawn(name):
    return [element.attrib for element in ET.fromstring(svg(WAITS, BANDS, 50.0)).iter(SVG + name)]


def test_each_wait_is_a_point_on_a_logarithmic_scale_that_it_does_not_leave():
    (points,) = drawn("path")
    assert points["d"] == "M64.0 420.0h0M524.0 270.0h0M984.0 120.0h0"


def test_what_happened_is_a_band_as_long_as_it_lasted_and_ends_with_the_picture():
    _, server, database = drawn("rect")
    assert (server["x"], server["width"]) == ("248.0", "368.0")
    assert (database["x"], database["width"]) == ("800.0", "184.0")
    assert server["fill"] != database["fill"]


def test_names_of_what_happened_are_shown_as_they_are():
    texts = [element.text for element in ET.fromstring(svg(WAITS, BANDS, 50.0)).iter(SVG + "text")]
    assert texts[:2] == ["a <server> is paused", "the primary is killed"]
    assert texts[2:] == ["1 ms", "10 ms", "100 ms", "1 s", "10 s", "0 s", "10 s", "20 s", "30 s", "40 s", "50 s"]


def test_a_line_goes_through_the_median_of_each_two_seconds():
    (line,) = (
        element.attrib["points"]
        for element in ET.fromstring(svg([(0.5, 0.1), (0.6, 10.0), (1.0, 0.1), (9.0, 1.0)], [], 10.0)).iter(
            SVG + "polyline"
        )
    )
    assert line == "156.0,270.0 892.0,195.0"
