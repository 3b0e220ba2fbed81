"""What is kept of a benchmark: raw/NAME.json holds facts, settings and samples, and no sentence.

Every field has a type, and no type admits free text (a test walks them all): a name, a version, a revision. So
what report.md says is said by the scripts' code, of these numbers. An unknown field is refused on reading.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

HERE = Path(__file__).parent
RAW = HERE / "raw"

Name = Annotated[str, Meta(pattern=r"^[\w.,=()+-]{1,100}\Z")]
"""A part with its settings, as the tables write it: no space."""
Revision = Annotated[str, Meta(pattern=r"^[0-9a-f]{7,40}( with changes)?\Z")]
"""A commit; in tables from before the writer refused it, also one with local changes."""
Version = Annotated[str, Meta(pattern=r"^\d[\w.+]{0,30}\Z")]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]
BRAND = r"^(?=[\w()@./+ -]{1,48}\Z)(\S*[A-Z0-9@(]\S*)( \S*[A-Z0-9@(]\S*)*\Z|^unknown\Z"
Brand = Annotated[str, Meta(pattern=BRAND)]
"""A processor's or GPU's name (a CPU's has 48 bytes): each word has a capital, a digit or a sign."""

Settings, Samples = TypeVar("Settings"), TypeVar("Samples")


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of record in a raw file; a field that it does not name is refused."""


class Facts(Kept, frozen=True):
    """Where and of what the samples are.

    `revisions`: one commit without local changes, which is all that `record` writes; older tables may have several.
    `load`: of the machine in the minute before the end; None where it was not kept, like `cores`.
    """

    revisions: list[Revision]
    processor: Brand
    python: Version
    day: Day
    packages: dict[Name, Version | None]
    threads: int
    gpu: Brand | None = None
    cores: int | None = None
    load: float | None = None

    @property
    def one_revision(self) -> bool:
        """Whether every sample is of one commit without local changes."""
        return len(self.revisions) == 1 and " " not in self.revisions[0]


class Raw(msgspec.Struct, Generic[Settings, Samples], frozen=True, forbid_unknown_fields=True):
    """One raw file; `Settings` and `Samples` are the question's own types."""

    facts: Facts
    settings: Settings
    samples: Samples


def question(name: str) -> Any:
    """The module benchmarks/NAME.py: its types `Settings` and `Samples`, and `answer(settings, samples)`."""
    return importlib.import_module(name)


def kind(name: str) -> Any:
    """The type of raw/NAME.json."""
    asked = question(name)
    return Raw[asked.Settings, asked.Samples]


def read(name: str) -> Raw[Any, Any]:
    """raw/NAME.json; msgspec.ValidationError where it holds what its script cannot write."""
    found: Raw[Any, Any] = msgspec.json.decode((RAW / f"{name}.json").read_bytes(), type=kind(name))
    return found


def write(name: str, raw: Raw[Any, Any]) -> None:
    """Write raw/NAME.json, having checked that it can be read again."""
    text = msgspec.json.format(msgspec.json.encode(raw), indent=1)
    msgspec.json.decode(text, type=kind(name))
    RAW.mkdir(exist_ok=True)
    (RAW / f"{name}.json").write_bytes(text + b"\n")
