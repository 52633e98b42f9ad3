"""What is measured of the bridge, and by what: see docs/performance.md."""
