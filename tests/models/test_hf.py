"""Model `hf`: a causal language model from a local folder, its tokens, its steps, and folders that are refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_cells import make_cell

from invbench.cell import Cell
from invbench.language.folder import BadFolder, FolderTokens, folder_network
from invbench.matrix import MatrixErrors
from invbench.models import hf
from invbench.models.hf import HuggingFace
from invbench.play.asking import why_unsupported
from invbench.play.playing import play
from invbench.report.figures import figures_of

pytest.importorskip("transformers", reason="needs the extra hf")
pytest.importorskip("tokenizers", reason="needs the extra hf")

TEXT = ["The random number of a thing is 12, and of another 305.\n", "Statements are executed, one by one: 7 of 9.\n"]
ASKED = {"name": "prompting", "repeats": 0, "canaries": 3, "digits": 2, "answers": 5}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of one layer with random weights, and byte pairs learned from two lines, digits of several among them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("hf") / "tiny"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXT * 9, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=304, n_positions=48, n_embd=16, n_layer=1, n_head=2)
        GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "hf-cache"))


def cell(folder: Path, there: Path, asked: dict[str, Any] | None = None, **said: Any) -> Cell:
    own = {"name": "hf", "path": str(there), "context": 32, **said.pop("model", {})}
    given = {"attack": "exposure", "dataset": {"name": "pydoc", "characters": 5000}, "targets": 3, "batch_size": 1}
    return make_cell(folder, model=own, protocol=ASKED | (asked or {}), **given | said)


def test_steps_say_what_the_model_says_of_the_whole_text(made: Path) -> None:
    from transformers import AutoModelForCausalLM

    theirs, network = AutoModelForCausalLM.from_pretrained(made).eval(), folder_network(made, 32)
    tokens = torch.randint(300, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = theirs(input_ids=tokens).logits
        assert torch.allclose(network(tokens), whole, atol=1e-6)
        for prompt in (1, 5, 11):
            first, past = network.step(tokens[:1, :prompt], None)  # one prompt that all of a batch share
            rest, _ = network.step(tokens[:1, prompt:].expand(2, -1), past)
            again, _ = network.step(tokens[:1, prompt:], past)
            assert torch.allclose(torch.cat([first, again], dim=1), whole[:1], atol=1e-5)
            assert torch.allclose(rest, again.expand(2, -1, -1), atol=1e-6)
    with pytest.raises(ValueError, match="33 tokens, the model reads at most 32"):
        network.step(torch.zeros(1, 33, dtype=torch.int64), None)


def test_every_digit_is_a_token_and_the_text_comes_back(made: Path) -> None:
    tokens = HuggingFace(path=made, context=32).tokens("")
    line = "\nThe random number of alfa is 0123456789.\n"
    assert tokens.decode(tokens.encode(line)) == line
    assert tokens.encode(line) == tokens.encode("\nThe random number of alfa is ") + tokens.encode("0123456789.\n")
    assert [len(tokens.encode(number)) for number in ("7", "30", "305")] == [1, 2, 3]
    assert pickle.loads(pickle.dumps(tokens)).encode(line) == tokens.encode(line)


@pytest.mark.parametrize("attack", ["exposure", {"name": "sampling", "samples": 12, "tokens": 8, "rank": "zlib"}])
def test_a_released_model_is_asked_and_nothing_is_read_where_no_canary_is(
    attack: Any, made: Path, tmp_path: Path
) -> None:
    played = play(cell(tmp_path, made, attack=attack), "cpu")
    assert played.record.status == "ok", played.record.reason
    assert played.record.scores["probability"] == played.record.controls["never"]["probability"]
    assert "no canary stands in the training text" in str(figures_of(played.record).nothing_to_read)
    assert "strings.csv" in played.files


def test_fine_tuned_it_learns_its_canaries_and_the_same_bits_each_time(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {"trained": True, "training_steps": 20}
    one = cell(tmp_path, made, {"repeats": 20}, model=trained)
    first = play(one, "cpu")
    assert first.record.status == "ok", first.record.reason
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(123)  # no draw is from the process's own stream: its dropout is off
    assert play(one, "cpu").record.scores == first.record.scores
    means = [np.mean(scores["probability"]) for scores in (first.record.scores, first.record.controls["never"])]
    assert means[0] > 2 * means[1]


def test_the_cells_id_holds_the_folders_content_and_not_its_place(made: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(made, tmp_path / "moved")
    before, there = cell(tmp_path, made), cell(tmp_path, moved)
    assert before.id == there.id
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"layer_norm_epsilon": 0.1}))
    assert there.model.changed
    assert cell(tmp_path, moved).id != before.id
    assert "changed while the matrix ran" in str(play(there, "cpu").record.reason)


def _pickles(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def _config(**changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changed))

    return change


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_pickles, "its weights are pickles (pytorch_model.bin)"),
        (_without("model.safetensors"), "has no weights; needs model.safetensors"),
        (_without("config.json"), "has no config.json"),
        (_without("tokenizer.json"), "has no tokenizer.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: cannot be read"),
        (_config(architectures=["BertForMaskedLM"]), "BertForMaskedLM is no causal language model"),
        (_config(architectures=["BertLMHeadModel"]), "is no causal language model"),
        (_config(architectures=[]), "names no architectures"),
        (_config(auto_map={"AutoModel": "theirs.Model"}), "needs code of its own"),
        (_config(n_positions=16), "reads at most 16"),
        (shutil.rmtree, "no such folder"),
        (lambda folder: (shutil.rmtree(folder), folder.write_text("")), "is no folder"),
    ],
)
def test_a_folder_that_holds_no_such_model_is_refused_with_its_place(
    spoil: Callable[[Path], Any], why: str, made: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(MatrixErrors) as refused:
        cell(tmp_path, folder)
    assert why in str(refused.value)
    assert "m.yaml:" in str(refused.value)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"asked": {"repeats": 4}}, "ask it with the protocol's `repeats: 0`"),
        ({"defense": "deduplication"}, "acts at no stage on hf, which is not trained here"),
        ({"attack": {"name": "sampling", "rank": "reference"}}, "states none"),
    ],
)
def test_what_a_released_model_cannot_be_asked_is_told(
    said: dict[str, Any], why: str, made: Path, tmp_path: Path
) -> None:
    assert why in str(why_unsupported(cell(tmp_path, made, said.pop("asked", None), **said)))


def test_a_model_that_keeps_another_memory_is_told(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=304, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    with pytest.raises(BadFolder, match="keeps another memory than keys and values"):
        folder_network(tmp_path / "mamba", 32)


def test_what_lies_in_the_folder_and_is_no_model_is_told_of_the_cell(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "spoilt")
    (folder / "model.safetensors").write_bytes(b"0" * 100)
    assert "cannot be read as a causal language model" in str(play(cell(tmp_path, folder), "cpu").record.reason)
    (folder / "tokenizer.json").write_text("[]")
    assert "tokenizer.json: cannot be read" in str(why_unsupported(cell(tmp_path, folder)))
    _config(vocab_size=10)(shutil.copytree(made, tmp_path / "few"))
    assert "the model knows 10" in str(why_unsupported(cell(tmp_path, tmp_path / "few")))


def test_a_tokenizer_that_changes_its_text_or_joins_digits_is_told() -> None:
    from tokenizers import Tokenizer, models, normalizers

    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    assert "does not give back" in str(FolderTokens(words.to_str()).complaint("a b"))
    digits = {str(digit): digit for digit in range(10)}
    words = Tokenizer(models.WordLevel(digits | {"A": 10, "?": 11}, unk_token="?"))
    words.normalizer = normalizers.Prepend("A")
    assert "no token of its own for each decimal digit" in str(FolderTokens(words.to_str()).complaint("1"))


def test_without_its_package_it_is_unsupported_with_the_command(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "lacking", lambda: "transformers")
    assert "pip install 'invbench[hf]'" in str(why_unsupported(cell(tmp_path, made)))
