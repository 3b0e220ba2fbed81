"""A causal language model in a local folder, as Hugging Face's libraries save it. Nothing is downloaded or unpickled.

Read are `config.json`, `tokenizer.json` and weights in safetensors, and no code that lies beside them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from invbench.language.network import Past

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How Hugging Face's classes of causal language models end."""
NEEDED = ("transformers", "tokenizers", "safetensors")
SAME = 1e-3
"""Largest difference of logits between a text read at once and read in two steps, relative to the largest logit."""


class BadFolder(ValueError):
    """A folder that holds no such model; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Folder:
    """What a folder's config says. `reads`: the most tokens that it reads, None where nothing limits them.

    `vocabulary`: how many tokens it knows, None where that is not said. `content`: SHA-256 of its config, tokenizer and
    weights.
    """

    path: Path
    kind: str
    reads: int | None
    vocabulary: int | None
    content: str


def lacking() -> str | None:
    """The first package that is not installed of those that such a folder is read with."""
    return next((name for name in NEEDED if find_spec(name) is None), None)


def folder(path: Path) -> Folder:
    """What the folder holds, by its small files; BadFolder where it is no causal language model in safetensors."""
    if not path.exists():
        raise BadFolder(f"{path}: no such folder")
    if not path.is_dir():
        raise BadFolder(f"{path}: is no folder; path names the folder that config.json and the weights lie in")
    config = _config(path)
    _check_weights(path)
    if not (path / TOKENIZER).is_file():
        raise BadFolder(f"{path}: has no {TOKENIZER}; a fast tokenizer saves one (save_pretrained)")
    stamps = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in _files(path))
    return Folder(
        path=path,
        kind=str(config["architectures"][0]),
        reads=_count(config, "max_position_embeddings", "n_positions"),
        vocabulary=_count(config, "vocab_size"),
        content=_content(stamps),
    )


def _config(path: Path) -> dict[str, Any]:
    """The folder's config, of a model that reads from left to right and needs no code of its own."""
    file = path / CONFIG
    if not file.is_file():
        raise BadFolder(f"{path}: has no {CONFIG}, so it is no folder of a Hugging Face model")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFolder(f"{file}: cannot be read ({error})") from None
    names = config.get("architectures") if isinstance(config, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadFolder(f"{file}: names no architectures, so nobody knows what model it is")
    if "auto_map" in config:
        raise BadFolder(f"{file}: the model needs code of its own (auto_map), which is not run")
    encoder = config.get("is_encoder_decoder") or (names[0].startswith("Bert") and not config.get("is_decoder"))
    if not names[0].endswith(CAUSAL) or encoder:
        raise BadFolder(f"{file}: {names[0]} is no causal language model; needs one such as GPT2LMHeadModel")
    return dict(config)


def _count(config: dict[str, Any], *keys: str) -> int | None:
    """The first of these that the config states as a positive whole number."""
    found = (config[key] for key in keys if key in config)
    return next((value for value in found if type(value) is int and value > 0), None)


def _check_weights(path: Path) -> None:
    if any((path / name).is_file() for name in WEIGHTS):
        return
    pickles = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
    if pickles:
        raise BadFolder(
            f"{path}: its weights are pickles ({pickles[0]}), which can run code when they are read; save them as"
            " safetensors (save_pretrained)"
        )
    raise BadFolder(f"{path}: has no weights; needs {WEIGHTS[0]}")


def _files(path: Path) -> list[Path]:
    """The files that change what the model computes, in a fixed order."""
    named = [path / name for name in (CONFIG, TOKENIZER, WEIGHTS[1])]
    return [file for file in (*named, *sorted(path.glob("*.safetensors"))) if file.is_file()]


@lru_cache(maxsize=16)
def _content(stamps: tuple[tuple[Path, int, int], ...]) -> str:
    """SHA-256 of the names and bytes of files, read once as long as none has changed."""
    digest = hashlib.sha256()
    for file, _, size in stamps:
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class FolderTokens:
    """A folder's fast tokenizer, but that every decimal digit is a token of its own: `written` is its JSON.

    No special tokens are added. A released model may have learned several digits as one token: it is asked for
    numbers in a spelling that it saw less often.
    """

    written: str

    @property
    def size(self) -> int:
        return int(_tokenizer(self.written).get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        return list(_tokenizer(self.written).encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(_tokenizer(self.written).decode(list(tokens), skip_special_tokens=False))

    def complaint(self, text: str) -> str | None:
        """Why it cannot serve: it does not give this text back, or has no token for a digit; None where it can."""
        if any(len(self.encode(digit)) != 1 for digit in "0123456789"):
            return "its tokenizer has no token of its own for each decimal digit"
        if self.decode(self.encode(text)) != text:
            return "its tokenizer does not give back the text that it is given"
        return None


def folder_tokens(path: Path) -> FolderTokens:
    """The folder's tokenizer; BadFolder where it cannot be read."""
    file = path / TOKENIZER
    try:
        tokens = FolderTokens(file.read_text(encoding="utf-8"))
        _tokenizer(tokens.written)
    except Exception as error:  # tokenizers raises plain Exception
        raise BadFolder(f"{file}: cannot be read ({error})") from None
    return tokens


@cache
def _tokenizer(written: str) -> Any:
    from tokenizers import Tokenizer, pre_tokenizers

    made = Tokenizer.from_str(written)
    digits = pre_tokenizers.Digits(individual_digits=True)
    own = made.pre_tokenizer
    made.pre_tokenizer = digits if own is None else pre_tokenizers.Sequence([digits, own])
    made.no_truncation()
    made.no_padding()
    return made


class FolderNetwork(nn.Module):
    """Tokens `(B, T)` to logits `(B, T, vocabulary)`, T at most `context`, by a model of Hugging Face's."""

    def __init__(self, model: nn.Module, context: int) -> None:
        super().__init__()
        self.model, self.context = model, context
        takes = inspect.signature(model.forward).parameters
        self.cache = "cache" if "cache" in takes else "past_key_values"  # renamed in transformers 5

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[1] > self.context:
            raise ValueError(f"{tokens.shape[1]} tokens, the model reads at most {self.context}")
        logits: Tensor = self.model(input_ids=tokens, use_cache=False).logits
        return logits

    def step(self, tokens: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """Logits of tokens that follow the `past`, and the past for what follows them. ValueError beyond `context`."""
        from transformers import DynamicCache

        before = 0 if past is None else past[0][0].shape[2]
        if before + tokens.shape[1] > self.context:
            raise ValueError(f"{before + tokens.shape[1]} tokens, the model reads at most {self.context}")
        held = DynamicCache()
        for layer, both in enumerate(past or ()):
            keys, values = (one.expand(len(tokens), -1, -1, -1) for one in both)
            held.update(keys, values, layer)
        answer = self.model(input_ids=tokens, use_cache=True, **{self.cache: held})
        return answer.logits, [(layer.keys, layer.values) for layer in held.layers]


def folder_network(path: Path, context: int) -> FolderNetwork:
    """The folder's model with its weights, float32 on the CPU, without dropout; BadFolder where it cannot be read.

    Read in two steps it must say what it says of the whole: a model that looks ahead or keeps another memory than
    keys and values does not, and nothing here could be computed of it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        for key, value in config.to_dict().items():
            if key.endswith(("dropout", "pdrop")) and isinstance(value, float):
                setattr(config, key, 0.0)  # its draws are from no stream of the cell's
        model, told = AutoModelForCausalLM.from_pretrained(
            path,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # each of its parts has errors of its own
        raise BadFolder(f"{path}: cannot be read as a causal language model ({error})") from None
    if missing := sorted(told["missing_keys"]):
        raise BadFolder(f"{path}: its weights lack {missing[0]} and {len(missing) - 1} others of the model's")
    network = FolderNetwork(model, context).eval()
    if not _reads_in_steps(network):
        raise BadFolder(
            f"{path}: {type(model).__name__} read in steps says something else than of the whole text, or keeps"
            " another memory than keys and values"
        )
    return network


@torch.no_grad()
def _reads_in_steps(network: FolderNetwork) -> bool:
    tokens = torch.arange(6)[None]
    try:
        whole = network(tokens)
        first, past = network.step(tokens[:, :3], None)
        second, _ = network.step(tokens[:, 3:], past)
    except Exception:  # a memory of another kind
        return False
    difference = (torch.cat([first, second], dim=1) - whole).abs().max()
    return bool(difference <= SAME * whole.abs().max().clamp(min=1.0))
