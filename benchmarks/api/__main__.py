"""Measures the API, see `benchmarks.api.measure`."""

import asyncio

from benchmarks.api.measure import main

asyncio.run(main())
