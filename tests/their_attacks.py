"""Parts of other people, installed as their package would be: a folder on the path, with entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

WAITING = '''
"""Waits for a file."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from invbench.registry import attack, parameter


@attack(game="attribute")
@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Answers once the file `go` is there, and writes its process into `go`.begun."""

    go: Path = parameter(help="the file")

    def __call__(self, seen):
        Path(f"{self.go}.begun").write_text(str(os.getpid()))
        while not self.go.exists():
            time.sleep(0.01)
        return seen.nothing("waited")
'''

BAD_ATTACK = '''
"""Never works."""

from dataclasses import dataclass

from invbench.registry import attack


@attack(game="attribute")
@dataclass(frozen=True, kw_only=True)
class BadAttack:
    """Raises."""

    def __call__(self, seen):
        raise ValueError("no such luck")
'''


def install(site: Path, attacks: Mapping[str, str]) -> Path:
    """Install the package `theirs` in `site`: `{"my-attack": source}`. The module is called like the attack.

    A key with a point is a part of another kind: `{"metrics.mae": source}`, in the module `metrics_mae`.
    """
    information = site / "theirs-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    modules = {name: name.replace("-", "_").replace(".", "_") for name in attacks}
    entries = [f"{name if '.' in name else f'attacks.{name}'} = {module}\n" for name, module in modules.items()]
    (information / "entry_points.txt").write_text("[invbench.plugins]\n" + "".join(entries))
    for name, source in attacks.items():
        (site / f"{modules[name]}.py").write_text(source)
    return site
