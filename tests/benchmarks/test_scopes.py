"""The table with the cost of the limits' scope."""

from benchmarks.scopes import Figures, table


def test_figures_are_medians_and_ratios_are_those_of_each_round():
    rounds = [
        {
            "process": Figures(1.0, 0.3, 0.0, 900),
            "server": Figures(1.1, 0.3, 0.0, 800),
            "cluster": Figures(1.2, 0.4, 0.02, 700),
        },
        {
            "process": Figures(2.0, 0.6, 0.0, 500),
            "server": Figures(2.0, 0.6, 0.0, 500),
            "cluster": Figures(2.2, 0.6, 0.05, 400),
        },
        {
            "process": Figures(3.0, 0.9, 0.0, 300),
            "server": Figures(3.6, 0.9, 0.0, 200),
            "cluster": Figures(3.3, 0.8, 0.01, 100),
        },
    ]
    assert table(rounds).splitlines()[2:] == [
        "| `process` | 2.00 (1.00 to 3.00) | 1.00 | 0.600 (0.300 to 0.900) | 0.000 | 500 (300 to 900) |",
        "| `server` | 2.00 (1.10 to 3.60) | 1.10 (1.00 to 1.20) | 0.600 (0.300 to 0.900) | 0.000 | 500 (200 to 800) |",
        "| `cluster` | 2.20 (1.20 to 3.30) | 1.10 (1.10 to 1.20) | 0.600 (0.400 to 0.800) | 0.020 (0.010 to 0.050) | 400 (100 to 700) |",
    ]
