"""Game `membership`: who trains on whom, what crosses the wall, how answers are scored, and that it leaks."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from made_memberships import attack, membership_cell, part
from PIL import Image

from invbench.cell import Cell
from invbench.data import Dataset
from invbench.defenses import Context, Defense, Stack
from invbench.games import membership as game
from invbench.games._candidates import Split, members_of, never_candidates, parts, split_of
from invbench.games.membership import Membership, MembershipDeal
from invbench.numbers.whole_cell import estimate
from invbench.observation import MembershipGuess
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.play.preparing import preparations, prepared
from invbench.registry import defense
from invbench.report.figures import figures_of
from invbench.sheets import sheet_of
from invbench.sheets.membership import remarks


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def dealt(**said: object) -> MembershipDeal:
    return Membership().deal(membership_cell(**said), torch.device("cpu"))  # type: ignore[arg-type]


def guesses(deal: MembershipDeal, threshold: float | None = 0.5) -> list[MembershipGuess]:
    """Answers that know the truth."""
    return [MembershipGuess(scores=torch.from_numpy(own).double(), threshold=threshold) for own in deal.member]


def test_no_picture_has_two_parts_and_all_train_on_equally_many() -> None:
    cell = membership_cell()
    split = split_of(cell)
    every = np.concatenate([split.candidates, split.others, split.reference])
    assert len(set(every.tolist())) == len(every) == 160
    assert [len(split.candidates), len(split.others), len(split.reference), split.size] == [80, 40, 40, 80]
    for number in range(3):
        members, unseen = members_of(cell, split, number), never_candidates(cell, split, number)
        assert len(members) == 40
        assert set(members) < set(split.candidates)
        assert len(unseen) == len(set(unseen)) == split.size
        assert not set(unseen) & set(split.candidates)


@pytest.mark.parametrize(("pictures", "share"), [(640, 0.5), (4660, 0.5), (103, 0.5), (1000, 0.1)])
def test_the_control_can_train_on_as_many_pictures_none_of_which_is_a_candidate(pictures: int, share: float) -> None:
    members, others = parts(pictures, share)
    assert members + others <= 2 * others
    assert 2 * members + 2 * others <= pictures
    if share == 0.5 and pictures % 4 == 0:
        assert members == others == pictures // 4


def test_seed_deals_out_the_candidates_and_number_the_members() -> None:
    cell, other = membership_cell(), membership_cell(seed=1)
    one, two = split_of(cell), split_of(other)
    assert set(one.candidates) != set(two.candidates)
    assert set(members_of(cell, one, 0)) != set(members_of(cell, one, 1))
    late, early = dealt(offset=1, targets=1), dealt(targets=2)
    assert np.array_equal(late.member[0], early.member[1])
    images = early.observations[0].public.candidates.images
    assert torch.equal(late.observations[0].answer(images), early.observations[1].answer(images))
    assert not torch.equal(early.observations[0].answer(images), early.observations[1].answer(images))


def test_an_observation_holds_no_bit_and_no_memory_of_the_game() -> None:
    deal = dealt()
    seen = deal.observations[0]
    seen.public.candidates.images.zero_()
    assert dealt().observations[0].public.candidates.images.any()
    text = pickle.dumps(seen)
    assert deal.member[0].tobytes() not in text
    assert seen.public.candidates.labels.tolist() == dealt().pool.labels[deal.split.candidates].tolist()


def test_the_released_model_answers_probabilities_and_its_weights_lie_open() -> None:
    seen = dealt().observations[0]
    images = seen.public.candidates.images
    answers = seen.answer(images)
    assert answers.dtype == torch.float64
    assert torch.allclose(answers.sum(dim=1), torch.ones(80, dtype=torch.float64))
    assert seen.model is not None
    with torch.no_grad():
        assert torch.allclose(seen.model(images).double().softmax(dim=1), answers, atol=1e-6)


def test_a_defence_of_answers_stands_before_the_model_and_shadows_pass_it_too() -> None:
    cell = membership_cell("lira")
    deal = Membership().deal(cell, torch.device("cpu"))
    bare = deal.observations[0]

    @defense
    class Rounded(Defense):
        def answer(self, scores: torch.Tensor, context: Context) -> torch.Tensor:
            return scores.round(decimals=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(game, "stack_of", lambda cell: Stack((Rounded(),)))
        defended = Membership().deal(cell, torch.device("cpu")).observations[0]
    images = bare.public.candidates.images
    assert torch.equal(defended.answer(images), bare.answer(images).round(decimals=1))
    assert defended.model is None


def test_a_private_training_is_the_victims_and_the_shadows_and_the_record_says_so() -> None:
    defended = (part("defense", "dp-sgd", noise=2.0, batch=8),)
    cell = membership_cell("lira", defense=defended, protocol={"epochs": 2}, targets=1)
    assert why_unsupported(cell) is None
    played = play(cell, "cpu").record
    assert played.status == "ok", played.reason
    told = " ".join(played.notes)
    assert "dp-sgd: 4 steps, q = 8/80 = 0.1, clip 1, noise multiplier 2" in told
    assert "for 4 batches before its defences" in told
    plain = membership_cell("lira", protocol={"epochs": 2}, targets=1)
    assert preparations(plain)["shadows"].name != preparations(cell)["shadows"].name


def test_defences_of_a_training_that_no_such_network_has_are_refused() -> None:
    mixing = part("model", "resnet20")
    cell = membership_cell(model=mixing, defense=(part("defense", "dp-sgd"),))
    assert "BatchNorm2d) mixes a batch's examples" in str(why_unsupported(cell))
    assert why_unsupported(membership_cell(model=mixing, defense=(part("defense", "label-smoothing"),))) is None


def test_what_knows_the_truth_is_perfect_and_a_missing_threshold_is_empty_with_its_reason() -> None:
    deal = dealt(targets=3)
    scores = deal.score(guesses(deal))
    sheet = sheet_of("membership")
    found = {column.name: estimate(column.statistic, scores) for column in sheet.statistics if column.statistic}
    assert found["auc"].value == found["balanced_accuracy"].value == found["tpr_at_fpr_0.01"].value == 1
    assert "needs at least 1000 non-members, there are 120" in str(found["tpr_at_fpr_0.001"].why_empty)
    none = estimate(sheet.by_name["balanced_accuracy"].statistic, deal.score(guesses(deal, None)))  # type: ignore[arg-type]
    assert none.value is None
    assert none.why_empty == "no item has a value"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (MembershipGuess(scores=torch.zeros(79)), "(80,), one a candidate, not (79,)"),
        (MembershipGuess(scores=torch.zeros(80, dtype=torch.int64)), "tensor of floats"),
        (MembershipGuess(scores=torch.zeros(80, dtype=torch.bool)), "not of torch.bool"),
        (MembershipGuess(scores=torch.full((80,), float("nan"))), "not finite"),
        (MembershipGuess(scores=torch.full((80,), -1e101, dtype=torch.float64)), "within 1e+100"),
        (MembershipGuess(scores=torch.zeros(80), threshold=float("inf")), "finite number or None"),
        ("members", "must be a MembershipGuess"),
    ],
)
def test_what_is_no_answer_is_told(answer: object, said: str) -> None:
    assert said in str(dealt(targets=1).complaint(0, answer))


def test_a_whole_cell_leaks_its_controls_do_not_and_its_picture_is_drawn() -> None:
    cell = membership_cell(
        "lira",
        controls=("unseen", "blind"),
        targets=3,
        settings={"shadows": 6},
        protocol={"epochs": 40, "pictures": 400},
        model=part("model", "mlp", width=64, depth=1),
    )
    played = play(cell, "cpu")
    assert played.record.status == "ok", played.record.reason
    figures = figures_of(played.record)
    assert figures.scores["auc"].mean > 0.6
    assert figures.scores["auc"].ci_low > 0.55
    assert abs(figures.controls["auc"]["unseen"] - 0.5) < 0.08
    assert abs(figures.controls["auc"]["blind"] - 0.5) < 0.08
    assert figures.shown is not None
    assert figures.scores["member_accuracy"].mean > 0.98
    assert figures.scores["other_accuracy"].mean < figures.scores["member_accuracy"].mean
    assert [len(target) for target in played.record.scores["other_accuracy"]] == [100] * 3
    assert any(note.startswith("200 candidates, of whom half are members") for note in played.record.notes)
    assert np.asarray(played.arrays["member"]).shape == (3, 200)  # type: ignore[index]
    picture = Image.open(BytesIO(played.files["grid.png"]))
    assert picture.size[0] > 600


def test_cells_that_cannot_be_played_say_why() -> None:
    def why(cell: Cell) -> str:
        return str(Membership().unsupported(cell))

    assert why(membership_cell()) == "None"
    assert "without `trained`" in why(membership_cell(model=part("model", "mlp", trained=True)))
    assert "gaussian acts at no stage" in why(membership_cell(defense=(part("defense", "gaussian", std=0.1),)))
    assert "needs 1 of each" in why(membership_cell(protocol={"pictures": 8, "candidates": 0.1}))
    table = part("dataset", "warfarin", sensitive="vkorc1")
    assert "is played on images" in why(membership_cell(dataset=table))


def test_a_setting_of_the_model_that_is_not_read_is_told() -> None:
    longer = membership_cell(model=part("model", "mlp", width=16, depth=1, training_steps=7), targets=1)
    told = [Membership().deal(cell, torch.device("cpu")).notes for cell in (longer, membership_cell(targets=1))]
    assert ["training_steps are not read" in " ".join(notes) for notes in told] == [True, False]


def test_copies_take_no_part(tmp_path: Path) -> None:
    """A copy among others or in the reference would be a member and none: candidates never meet them."""
    images = np.random.default_rng(0).integers(0, 255, (40, 1, 8, 8), dtype=np.uint8)
    images[20:30] = images[:10]
    np.savez(tmp_path / "pool.npz", images=images, labels=np.arange(40) % 2)
    data = part("dataset", "npz", path=tmp_path / "pool.npz")
    pool = data.build(Dataset).load()
    cell = membership_cell(
        dataset=data,
        data_hash=pool.content,
        normalisation=pool.normalisation,
        protocol={"pictures": None, "epochs": 1},
        targets=1,
    )
    split = split_of(cell)
    every = np.concatenate([split.candidates, split.others, split.reference])
    assert set(every) <= {*range(20), *range(30, 40)}
    assert len({images[i].tobytes() for i in every}) == len(every)
    deal = Membership().deal(cell, torch.device("cpu"))
    assert "10 pictures are copies of others and take no part" in deal.notes


def test_the_same_cell_has_the_same_bits() -> None:
    cell = membership_cell("lira", targets=1)
    answers = []
    for _ in range(2):
        deal = Membership().deal(cell, torch.device("cpu"))
        answers.append(attack("lira", shadows=4)(prepared(cell, deal.observations)[0]).scores)
    assert torch.equal(*answers)


def test_a_low_area_with_many_found_is_called_a_leak() -> None:
    assert "this is a leak" in " ".join(remarks({"auc": 0.55, "tpr_at_fpr_0.01": 0.1}))
    for found in ({"auc": 0.7, "tpr_at_fpr_0.01": 0.1}, {"auc": 0.55, "tpr_at_fpr_0.01": 0.09}, {"auc": 0.5}, {}):
        assert remarks(found) == []


def test_a_split_s_size_is_members_and_others() -> None:
    some = np.arange(10)
    assert Split(some, some[:4], some[4:8], 0).size == 9
