"""Compares gateways, see `benchmarks.gateways.comparison`."""

from benchmarks.gateways.comparison import main

main()
