"""Attacks: one file each; observations in, answers out.

An attack is a frozen dataclass marked `@attack(game=...)`, with the base `Attack` (of game `update`: `UpdateAttack`),
which says what it is asked and what it answers by default (`core/attack.py`). What an attack of this package says in
its decorator, `closed_form="certified"` or `"plain"`, makes `auto` try it.
"""

from invbench.core.attack import Attack, UpdateAttack

__all__ = ["Attack", "UpdateAttack"]
