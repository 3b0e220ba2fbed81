"""Python's help text."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import pytest

from invbench.data import BadData
from invbench.data.pydoc import Pydoc


def test_topics_stand_in_order_and_every_tenth_is_public() -> None:
    pool, names = Pydoc().load(), sorted(topics)
    assert pool.train.startswith(topics[names[0]].strip("\n"))
    assert pool.public.startswith(topics[names[9]].strip("\n"))
    assert topics[names[9]] not in pool.train
    assert "".join(pool.passages) == pool.train


def test_the_content_tells_texts_apart(tmp_path: Path) -> None:
    whole, part = Pydoc().load(), Pydoc(characters=3000).load()
    assert whole.content == Pydoc().load().content != part.content
    assert len(part.train) == 3000
    assert "Python 3" in part.notes[0]


def test_more_than_there_is_is_refused_with_both_numbers() -> None:
    with pytest.raises(BadData, match="characters of training text, not 99,000,000"):
        Pydoc(characters=99_000_000).load()
