"""Tokens, the network, likelihoods, sampling, ranking and training, each against its slow definition."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor

from invbench.core.training import Training
from invbench.language import likelihood
from invbench.language.likelihood import STRINGS, Sampling, at_once, space_log_probabilities, token_log_probabilities
from invbench.language.network import GPT
from invbench.language.ranking import entropy, surprises, windowed, without_near_duplicates
from invbench.language.sampling import decaying, drawn
from invbench.language.tokens import Tokens, learned
from invbench.language.training import train_language

PAIRS = learned("the theory of the thing, 12 of 12 things\n" * 3, 20)


def network(seed: int = 0, vocabulary: int = 12, tied: bool = True, sharp: float = 40.0) -> GPT:
    """A small network whose answers are far from uniform."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = GPT(vocabulary, 2, 16, 2, 12, tied).eval()
        with torch.no_grad():
            made.embedding.weight.mul_(sharp)
    return made


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def direct(model: GPT, prompt: list[int], string: list[int]) -> Tensor:
    """Log-probability of each token by one pass over the whole."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + string]))[0].double().log_softmax(-1)
    return torch.stack([logits[len(prompt) - 1 + i, token] for i, token in enumerate(string)])


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_a_text_comes_back_from_its_tokens(text: str) -> None:
    for tokens in (Tokens(), PAIRS):
        assert tokens.decode(tokens.encode(text)) == text


def test_pairs_are_the_most_frequent_and_hold_no_digit() -> None:
    assert PAIRS.merges[0] == (ord("t"), ord("h"))
    assert not any(str(d).encode() in piece for piece in PAIRS._bytes[256:] for d in range(10))
    assert PAIRS.encode("is 407.")[-4:] == [*b"407", ord(".")]
    assert len(PAIRS.encode("the thing")) < len("the thing")


def test_tied_weights_are_one_tensor_also_after_loading() -> None:
    tied, loose = network(), network(tied=False)
    assert tied.head.weight is tied.embedding.weight
    assert loose.head.weight is not loose.embedding.weight
    count = [sum(p.numel() for p in one.parameters()) for one in (tied, loose)]
    assert count[1] - count[0] == tied.embedding.weight.numel()
    other = network(1)
    other.load_state_dict({name: tensor.clone() for name, tensor in tied.state_dict().items()})
    assert other.head.weight is other.embedding.weight
    assert torch.equal(other.embedding.weight, tied.embedding.weight)


def test_a_later_token_changes_nothing_before_it_and_too_many_are_refused() -> None:
    model, tokens = network(), torch.arange(10)[None]
    changed = tokens.clone()
    changed[0, -1] = 0
    torch.testing.assert_close(model(tokens)[:, :-1], model(changed)[:, :-1])
    assert not torch.allclose(model(tokens)[:, -1], model(changed)[:, -1])
    with pytest.raises(ValueError, match="13 tokens, the model reads at most 12"):
        model(torch.zeros(1, 13, dtype=torch.int64))


def test_strings_after_a_prompt_and_the_whole_space_are_as_likely_as_read_at_once() -> None:
    model, prompt = network(), [3, 1, 4]
    strings = [list(one) for one in product(range(4), repeat=3)]
    slow = torch.stack([direct(model, prompt, one) for one in strings])
    torch.testing.assert_close(token_log_probabilities(model, prompt, torch.tensor(strings)), slow, atol=1e-4, rtol=0)
    space = space_log_probabilities(model, prompt, range(4), 3)
    torch.testing.assert_close(space, slow.sum(1), atol=1e-4, rtol=0)
    whole = space_log_probabilities(model, prompt, range(12), 2)
    assert float(whole.logsumexp(0)) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(space_log_probabilities(model, prompt, range(4), 1), slow[::16, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(top_k=2), [0.625, 0.375, 0, 0]),
        (Sampling(top_p=0.5), [1, 0, 0, 0]),
        (Sampling(top_p=0.51), [0.625, 0.375, 0, 0]),
        (Sampling(temperature=0), [1, 0, 0, 0]),
        (Sampling(temperature=0.5), [0.25 / 0.355, 0.09 / 0.355, 0.0144 / 0.355 / 1.44, 0.0025 / 0.355 * 2]),
    ],
)
def test_temperature_top_k_and_top_p_keep_and_renew_what_they_say(sampling: Sampling, kept: list[float]) -> None:
    logits = torch.tensor([0.5, 0.3, 0.1, 0.1]).log()
    if sampling.temperature == 0.5:
        kept = [p**2 / 0.36 for p in (0.5, 0.3, 0.1, 0.1)]
    assert sampling.log_probabilities(logits).exp().tolist() == pytest.approx(kept, abs=1e-6)


def test_few_strings_are_computed_at_once_where_there_are_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPT-2 has 50,257: a thousand strings of five tokens would be 2 GB a copy of their log-probabilities."""
    assert at_once(6, 512) == STRINGS
    assert at_once(5, 50_257) == 133
    assert at_once(10**9, 50_257) == 1
    model, prompt, letters = network(), [1, 2], [3, 4, 5]
    whole = space_log_probabilities(model, prompt, letters, 3)
    monkeypatch.setattr(likelihood, "VALUES", 1)
    torch.testing.assert_close(space_log_probabilities(model, prompt, letters, 3), whole, atol=1e-5, rtol=0)


def test_of_equal_logits_the_lower_token_is_kept() -> None:
    assert Sampling(top_k=1).log_probabilities(torch.zeros(5)).exp().tolist() == [1, 0, 0, 0, 0]


def test_the_closed_form_is_how_often_sampling_says_a_string() -> None:
    model, sampling = network(sharp=15.0), Sampling(temperature=0.8, top_k=5, top_p=0.9)
    inside = []
    for number in range(10):
        prompt = [number, 2]
        said = drawn(model, prompt, 10_000, 2, lambda _: sampling, seeded(number))
        strings = said[:2]
        for string, log_p in zip(
            strings, token_log_probabilities(model, prompt, strings, sampling).sum(1), strict=True
        ):
            count, p = int((said == string).all(dim=1).sum()), math.exp(float(log_p))
            low, high = binom.interval(0.99, 10_000, p)
            inside.append(low <= count <= high)
    assert sum(inside) >= 19


def test_the_temperature_falls_to_its_own() -> None:
    schedule = decaying(Sampling(1.0, 40), 10.0, 20)
    assert [schedule(k).temperature for k in (0, 10, 20, 50)] == [10.0, 5.5, 1.0, 1.0]
    assert schedule(3).top_k == 40


def test_windowed_perplexity_is_the_lowest_mean_of_a_window_and_lower_cases_nothing() -> None:
    model = network(vocabulary=256)
    text = list(b"ABCdeFGH")
    nats = surprises(model, [0], text, 12)
    slow = direct(model, [0], text)
    torch.testing.assert_close(-nats, slow, atol=1e-4, rtol=0)
    assert windowed(nats, 3) == pytest.approx(min(float(-slow[i : i + 3].mean()) for i in range(6)), abs=1e-4)
    assert windowed(nats, 50) == pytest.approx(float(nats.mean()))
    assert windowed(surprises(model, [0], list(b"abcdefgh"), 12), 3) != pytest.approx(windowed(nats, 3), abs=1e-3)


def test_near_duplicates_go_and_the_first_stays() -> None:
    texts = ["one two three four five", "one two three four six", "seven eight nine ten", "one"]
    assert without_near_duplicates(texts) == [0, 2, 3]
    assert without_near_duplicates(["12345.", "99999.", "12345."]) == [0, 1]
    assert entropy("a" * 200) < entropy("".join(chr(33 + k * k % 90) for k in range(200)))


def test_training_learns_a_text_with_the_same_bits_each_time() -> None:
    text = torch.tensor(list(range(12)) * 30)
    states = []
    for _ in range(2):
        model = network(sharp=1.0)
        states.append((train_language(model, text, 8, seeded(3), Training(200)), model.state_dict()))
    assert states[0][0] < 1.5 < math.log(12)
    assert all(torch.equal(states[0][1][name], tensor) for name, tensor in states[1][1].items())


def test_a_text_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="9 tokens; a window alone takes 9"):
        train_language(network(), torch.zeros(9, dtype=torch.int64), 8, seeded(0), Training(1))
