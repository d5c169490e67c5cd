"""Plays a story: its questions are asked of the memory, however the reports of its calls came in."""

import random

from tests.memory.telling import Memory, Question, Story, as_they_come, engine_of, folded, known_at, offered


def play(story: Story) -> None:
    """Every question gets its answer, whether all calls are gone through at once, each change is reported as it comes,
    or whole calls come in another order than they were made in."""
    engine = engine_of(story.rules)
    for question in story.questions:
        known = known_at(story.reports, question.now)
        _check(story, question, offered(engine, question, folded(engine, known)), "all at once")
        memory = Memory(engine)
        for report in as_they_come(story.reports, question.now):
            memory.take(report)
        _check(story, question, offered(engine, question, list(memory.rows.values())), "as they come")
        shuffled = random.Random(len(known)).sample(known, len(known))
        for order in (known, known[::-1], shuffled):
            memory = Memory(engine)
            for report in order:
                memory.take(report)
            _check(story, question, offered(engine, question, list(memory.rows.values())), "in another order")


def _check(story: Story, question: Question, got: tuple[str, ...], how: str) -> None:
    assert got == question.expected, f"{story.title}\n    {question.line}\n    but {', '.join(got)} ({how})"
