"""Any causal language model in a local folder of Hugging Face's format (extra `hf`); nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from invbench.language.folder import Folder, FolderTokens, folder, folder_network, folder_tokens, lacking
from invbench.models import TextModel
from invbench.registry import model, parameter

SPELLED = "\nThe random number of alfa is 0123456789.\n"
"""What the tokenizer must give back as it is: a canary's line."""


@model(data="text")
@dataclass(frozen=True, kw_only=True)
class HuggingFace(TextModel):
    """A folder with config.json, tokenizer.json and weights in safetensors, as `save_pretrained` leaves it.

    Released as it is, no canary stands in what it was trained on: then the protocol's `repeats` is 0, and what
    attack `sampling` answers is looked up in the data set's text. `trained: true` fine-tunes it on that text and its
    canaries, by the recipe that `gpt` is trained with. Weights that are pickles are refused, and code of the folder's
    own is not run. Every digit is a token of its own, whatever the folder's tokenizer would make of a number. The
    folder's content is in the cell's id, and its place is not.
    """

    released = True

    path: Path = parameter(help="the folder")
    context: int = parameter(64, at_least=8, unit="tokens", help="how far back it reads, no more than it can")
    trained: bool = parameter(False, help="fine-tune it on the data set's text and canaries before the attack")

    def __post_init__(self) -> None:
        """ValueError where there is no such model, or it reads less than `context`."""
        reads = self._folder.reads
        if reads is not None and self.context > reads:
            raise ValueError(f"hf: context is {self.context} tokens; the model in {self.path} reads at most {reads}")

    @property
    def content(self) -> str:
        """SHA-256 of config, tokenizer and weights."""
        return self._folder.content

    def build(self, vocabulary: int) -> nn.Module:
        return folder_network(self.path, self.context)

    def tokens(self, text: str) -> FolderTokens:
        """The folder's own; the text has no say."""
        return folder_tokens(self.path)

    def unsupported(self) -> str | None:
        if (package := lacking()) is not None:
            return f"hf needs the package {package}: pip install 'invbench[hf]'"
        try:
            tokens = folder_tokens(self.path)
        except ValueError as error:
            return str(error)
        complaint, knows = tokens.complaint(SPELLED), self._folder.vocabulary
        if complaint is None and knows is not None and tokens.size > knows:
            complaint = f"its tokenizer has {tokens.size:,} tokens, the model knows {knows:,}"
        return None if complaint is None else f"hf: {self.path}: {complaint}"

    @property
    def _folder(self) -> Folder:
        return folder(self.path)
