"""What is wrong with a results folder or a file in it; what the disk refuses, as one refusal that names the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invbench.core.errors import Refusal


class StoreError(Refusal):
    """A results folder or a file in it that cannot be used; the message names it and says what is wrong."""


class Absent(StoreError):
    """There is no file of that name."""


class Unfit(StoreError):
    """What has the name of a file and can be none of ours: a folder, a pipe, a device, a file without bounds."""


class OtherSchema(StoreError):
    """A file that another version of invbench wrote, which this one does not read."""


class Damaged(StoreError):
    """A record that is none any more: torn, changed, or of another cell."""


@contextmanager
def disk(path: Path, what: str = "be written") -> Iterator[None]:
    """Turn what the system refuses inside the block into a StoreError: `path` cannot be written, read, locked."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot {what}: {error.strerror or error}") from error
