"""The questions of a bridge, which a test has answered as it says."""

from storage.queries.questions.questions import Questions
from storage.queries.questions.reading import ignore_progress


class ScriptedQuestions(Questions):
    """Answers from the database, a call in each step, until a test says what is done instead.

    Attributes:
        instead: Takes the question and what is told of the progress.
    """

    instead = None

    async def answer(self, question, on_progress=ignore_progress, **options):
        """Answer as the database does, or do what the test says."""
        if self.instead is not None:
            return await self.instead(question, on_progress)
        return await super().answer(question, on_progress, **options)
