"""Game `extraction`: canaries in a small model's training text, what crosses the wall, and how answers are scored."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from small_cells import make_cell

from invbench.attacks.exposure import Exposure
from invbench.attacks.sampling import Sampling
from invbench.cell import Cell
from invbench.defenses import Context
from invbench.defenses.deduplication import Deduplication
from invbench.games import game_of
from invbench.games.extraction import Extraction, ExtractionDeal
from invbench.language.likelihood import PLAIN, surprise
from invbench.language.sampling import drawn
from invbench.language.tokens import Tokens
from invbench.metrics import exposure, extracted, probability, queries_for
from invbench.observation import ExtractionGuess
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.play.preparing import prepared
from invbench.victims.language import canary, training_text

TINY = {"name": "gpt", "layers": 1, "width": 16, "heads": 2, "context": 48, "pairs": 100, "training_steps": 3}
ASKED = {"name": "prompting", "repeats": 3, "canaries": 3, "digits": 2, "answers": 5}
NONE: Mapping[str, Any] = {}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))


def small(folder: Path, model: Mapping[str, Any] = NONE, protocol: Mapping[str, Any] = NONE, **said: Any) -> Cell:
    given = {"attack": "exposure", "dataset": {"name": "pydoc", "characters": 5000}, "targets": 3} | said
    return make_cell(folder, model={**TINY, **model}, protocol={**ASKED, **protocol}, batch_size=1, **given)


def dealt(cell: Cell) -> ExtractionDeal:
    deal = game_of(cell).deal(cell, torch.device("cpu"))
    assert isinstance(deal, ExtractionDeal)
    return deal


def test_canaries_stand_as_often_as_said_and_deduplication_leaves_one(tmp_path: Path) -> None:
    text = training_text(small(tmp_path))
    lines = [canary(small(tmp_path), k).line for k in range(3)]
    assert [text.count(line) for line in lines] == [3, 3, 3]
    assert all(f"\n{line}" in f"\n{text}" for line in lines)
    once = training_text(small(tmp_path, defense="deduplication"))
    assert [once.count(line) for line in lines] == [1, 1, 1]
    never = training_text(small(tmp_path, protocol={"repeats": 0}))
    assert not any(line in never for line in lines)


def test_deduplication_keeps_order_the_first_and_what_is_short() -> None:
    passages = [
        "a long enough line\n",
        "\n",
        "another long line\n",
        "\n",
        "  a long enough line\n",
        "short\n",
        "short\n",
    ]
    kept = Deduplication(shortest=10).corpus(passages, Context(torch.Generator()))
    assert kept == ["a long enough line\n", "\n", "another long line\n", "\n", "short\n", "short\n"]


def test_the_secret_and_the_training_text_do_not_cross_the_wall(tmp_path: Path) -> None:
    cell = small(tmp_path, protocol={"digits": 5})
    deal = dealt(cell)
    for seen, one in zip(deal.observations, deal.canaries, strict=True):
        crossed = pickle.dumps(seen)
        assert one.prefix.encode() in crossed
        assert (one.prefix + one.secret).encode() not in crossed
        assert deal.text[:200].encode() not in crossed
    assert len({id(seen.model) for seen in deal.observations} | {id(deal.model)}) == 4


def test_exposure_is_the_direct_count_of_likelier_secrets(tmp_path: Path) -> None:
    deal = dealt(small(tmp_path))
    answers = [Exposure()(seen) for seen in deal.observations]
    for answer, one, [found] in zip(answers, deal.canaries, deal.score(answers)["exposure"], strict=True):
        assert answer.scores is not None
        own = float(answer.scores[int(one.secret)])
        rank = 1 + sum(float(score) > own for score in answer.scores)
        assert found == pytest.approx(np.log2(100) - np.log2(rank))
        order = sorted(range(100), key=lambda k: -float(answer.scores[k]))  # type: ignore[index]
        assert list(answer.strings) == [f"{one.prefix}{k:02d}" for k in order[:5]]


def test_who_tells_no_secrets_apart_or_fails_has_exposure_0(tmp_path: Path) -> None:
    deal = dealt(small(tmp_path))
    flat = ExtractionGuess(strings=(), scores=torch.zeros(100))
    scores = deal.score([flat, deal.observations[1].nothing("no"), flat])
    assert scores["exposure"] == [[0.0], [0.0], [0.0]]
    assert scores["extracted"] == [[0.0], [0.0], [0.0]]


def test_the_skew_normal_is_near_the_whole_space(tmp_path: Path) -> None:
    deal = dealt(small(tmp_path, protocol={"digits": 3}))
    whole = deal.score([Exposure()(seen) for seen in deal.observations])["exposure"]
    tail = deal.score([Exposure(method="skew-normal", sample=400)(seen) for seen in deal.observations])["exposure"]
    assert np.abs(np.array(whole) - np.array(tail)).max() < 1.5


def test_a_cell_is_played_with_the_control_of_a_model_that_saw_no_canary(tmp_path: Path) -> None:
    played = play(small(tmp_path), "cpu")
    assert played.record.status == "ok", played.record.reason
    assert {"exposure", "extracted", "probability", "bits_per_byte"} == set(played.record.scores)
    [[value], *others] = played.record.scores["bits_per_byte"]
    assert value is not None
    assert 5 < value < 9, "a model that learned next to nothing, of 8 bits a byte and some text of shorter codes"
    assert others == [[value]] * 2
    assert {"exposure", "extracted", "probability"} <= set(played.record.controls["never"])
    rows = list(csv.reader(io.StringIO(played.files["strings.csv"].decode())))
    assert len(rows) == 1 + 3 * 5
    curve = list(csv.reader(io.StringIO(played.files["queries.csv"].decode())))
    assert [row[0] for row in curve[1:]] == [str(10**k) for k in range(7)]
    assert all(a <= b for a, b in zip(curve[1][1:], curve[-1][1:], strict=True))


def test_public_text_costs_what_its_tokens_do_one_by_one(tmp_path: Path) -> None:
    deal = dealt(small(tmp_path, targets=1, model={"context": 32}))
    tokens = deal.tokens.encode(deal.observations[0].public.text)
    nats = surprise(deal.model, tokens[:76], 32)
    slow = 0.0
    for place in range(1, 76):
        start = (place - 1) // 32 * 32
        scores = deal.model(torch.tensor([tokens[start:place]]))[0, -1].double().detach()
        slow -= float(scores.log_softmax(0)[tokens[place]])
    assert nats == pytest.approx(slow, rel=1e-6)


def test_a_text_is_trained_on_privately_by_windows_and_the_record_says_so(tmp_path: Path) -> None:
    private = [{"name": "early-stopping", "most": 2}, {"name": "dp-sgd", "noise": 1.0, "batch": 4}]
    cell = small(tmp_path, defense=[private], targets=1)
    assert why_unsupported(cell) is None
    deal = dealt(cell)
    windows = (len(deal.tokens.encode(deal.text)) - 1) // 48
    told = " ".join(deal.notes)
    assert f"dp-sgd: 2 steps, q = 4/{windows}" in told
    assert "window of 48 tokens (a line may lie in two of them" in told
    assert deal.observations[0].model is not None
    plain = dealt(small(tmp_path, targets=1))
    assert deal._log_probabilities(PLAIN)[0] != plain._log_probabilities(PLAIN)[0]
    untrained = small(tmp_path, model={"trained": False}, defense=[private])
    assert "gpt(" in str(why_unsupported(untrained))
    assert "is not `trained`" in str(why_unsupported(untrained))


@pytest.mark.parametrize("rank", ["perplexity", "reference", "zlib", "lower", "window"])
def test_sampling_answers_different_texts_that_begin_with_the_prefix(rank: str, tmp_path: Path) -> None:
    cell = small(tmp_path, attack={"name": "sampling", "rank": rank, "samples": 20, "tokens": 6, "steps": 2}, targets=1)
    [seen] = prepared(cell, dealt(cell).observations)
    answer, again = (cell.attack.build(Sampling)(prepared(cell, dealt(cell).observations)[0]) for _ in range(2))
    assert answer.strings == again.strings
    assert 0 < len(set(answer.strings)) == len(answer.strings) <= 5
    assert all(one.startswith(seen.prefix) for one in answer.strings)
    assert dealt(cell).complaint(0, answer) is None


@pytest.mark.parametrize("rank", ["window", "perplexity", "lower"])
def test_no_rank_but_lower_reads_a_text_in_lower_case(
    rank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known tool's "sliding window" perplexity lower-cases first, and so finds other text."""
    cell = small(tmp_path, attack={"name": "sampling", "rank": rank, "samples": 20, "tokens": 6}, targets=1)
    [seen] = dealt(cell).observations
    read, encode = list[str](), Tokens.encode
    monkeypatch.setattr(Tokens, "encode", lambda self, text: (read.append(text), encode(self, text))[1])
    cell.attack.build(Sampling)(seen)
    upper = {text for text in read if text != text.lower() and not text.startswith("\nThe random")}
    assert upper
    assert bool({text.lower() for text in upper} & set(read)) == (rank == "lower")


@pytest.mark.slow
def test_the_closed_form_probability_of_fifty_canaries_is_how_often_they_are_drawn(tmp_path: Path) -> None:
    """For at least 48 of 50 the share of 10,000 draws lies in the 99 % interval of the computed probability."""
    trained = {"layers": 1, "width": 64, "heads": 4, "context": 32, "pairs": 256, "training_steps": 400}
    asked = {"repeats": 24, "canaries": 50, "digits": 2, "temperature": 0.8, "top_k": 20, "top_p": 0.95}
    cell = small(tmp_path, model=trained, protocol=asked, dataset={"name": "pydoc", "characters": 100_000}, targets=50)
    deal, draws, inside = dealt(cell), torch.Generator().manual_seed(0), list[bool]()
    computed = np.exp(deal._log_probabilities(deal.sampling))
    for one, p in zip(deal.canaries, computed, strict=True):
        prompt, secret = deal.tokens.encode(f"\n{one.prefix}"), torch.tensor(deal.tokens.encode(one.secret))
        said = drawn(deal.model, prompt, 10_000, 2, lambda _: deal.sampling, draws)
        low, high = binom.interval(0.99, 10_000, p)
        inside.append(low <= int((said == secret).all(dim=1).sum()) <= high)
    print(f"{sum(inside)} of 50; probabilities {np.sort(computed).round(4).tolist()}")
    assert sum(computed > 1e-3) >= 40, "probabilities of 0 would prove nothing"
    assert sum(inside) >= 48


def test_a_victim_that_knows_a_canary_is_exposed(tmp_path: Path) -> None:
    trained = {"width": 32, "training_steps": 150, "context": 32}
    cell = small(tmp_path, model=trained, protocol={"repeats": 30}, dataset={"name": "pydoc", "characters": 3000})
    deal = dealt(cell)
    scores = deal.score([Exposure()(seen) for seen in deal.observations])
    assert np.mean(scores["exposure"]) > 4  # of 6.64 bits
    assert np.mean(scores["extracted"]) > 0.6


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"targets": 4}, "4 targets, but the training text has 3 canaries"),
        ({"model": {"heads": 3}}, "width 16 is no multiple of its 3 heads"),
        ({"model": {"context": 12}}, "gpt reads 12"),
        ({"protocol": {"repeats": 5000}}, "15000 lines"),
        ({"protocol": {"digits": 7}}, "skew-normal extrapolates"),
        ({"defense": {"name": "gaussian", "std": 0.1}}, "gaussian acts at no stage"),
    ],
)
def test_what_cannot_be_played_is_told_with_its_reason(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    said = why_unsupported(small(tmp_path, **changed))
    assert said is not None
    assert why in said


def test_answers_beyond_what_is_allowed_are_none(tmp_path: Path) -> None:
    [seen, *_] = dealt(small(tmp_path)).observations
    assert "6 strings, 5 may be answered" in str(seen.complaint(ExtractionGuess(strings=("x",) * 6)))
    assert "tensor (100,)" in str(seen.complaint(ExtractionGuess(strings=(), scores=torch.zeros(3))))
    assert "positive scale" in str(seen.complaint(ExtractionGuess(strings=(), tail=(0.0, 0.0, -1.0))))
    assert seen.complaint(ExtractionGuess(strings=("x",))) is None


def test_the_metrics_say_what_their_papers_say() -> None:
    assert exposure(np.array([1 / 1024, 1.0, np.nan]))[:2].tolist() == [10.0, 0.0]
    ranks = np.arange(1, 100_001) / 100_000
    assert exposure(ranks).mean() == pytest.approx(np.log2(np.e), abs=0.001)
    assert extracted([["x is 123."], ["x is 1234"], []], ["x is 123"] * 3).tolist() == [1, 0, 0]
    assert probability(np.log(np.array([0.5]))) == pytest.approx([0.5])
    assert queries_for(np.array([0.5, 0.01, 0.0, 1.0]), 0.9).tolist() == [4, 230, np.inf, 1]


def test_the_game_needs_text(tmp_path: Path) -> None:
    cell = make_cell(tmp_path, attack="exposure", model=TINY, dataset="digits", protocol=ASKED, batch_size=1)
    assert "digits is not of that kind" in str(Extraction().unsupported(cell))
