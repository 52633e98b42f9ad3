"""How far the reading of records for an answer is."""

from __future__ import annotations

from handlers.operations.operation import Ask, Report
from resources.recorded.statistics import ReadingProgress
from storage.queries.questions.questions import STREAM_SECONDS
from storage.queries.questions.reading import OnProgress, Progress


def progress_to(report: Report, ask: Ask, read_per_second: int) -> tuple[OnProgress, float | None]:
    """Return what reports the progress of reading, and how many seconds it may take; None is the usual time.

    `read_per_second` is about how many records the database reads for it.
    """
    began = ask.bridge.monotonic()

    async def on_progress(progress: Progress) -> None:
        seconds = ask.bridge.monotonic() - began
        await report(ReadingProgress.of_records(*progress, seconds, read_per_second))

    return on_progress, STREAM_SECONDS if report.in_lines else None
