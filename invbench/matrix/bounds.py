"""Settings of defences that a setting of the protocol bounds: a threshold above the number of clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from invbench.cell import Cell, Choice
from invbench.core.parameters import show_value
from invbench.matrix.errors import Errors
from invbench.matrix.source.nodes import Items, Node, Place, Scalar, Table


def refuse_out_of_bounds(cells: Iterable[Cell], tree: Table, errors: Errors) -> None:
    """Note each setting of a cell's defences that is above what its protocol allows (`Parameter.within`), once."""
    pairs = {(defense, cell.protocol): None for cell in cells for defense in cell.defense or () if cell.protocol}
    for defense, protocol in pairs:
        allowed, given = dict(protocol.settings), dict(defense.settings)
        for key, field in defense.part.parameters.items():
            limit, value = allowed.get(field.within), given[key]
            if limit is not None and value is not None and value > limit:
                above = f"{key} {show_value(value)} is above {show_value(limit)}"
                wrong = f"{defense.name}: {above}, the {field.within} of {protocol.short}"
                errors.add(next(_places(tree, defense, key), tree.place), wrong)


def _places(node: Node, defense: Choice, key: str) -> Iterator[Place]:
    """Where a defence of that name is given that value of the setting."""
    if isinstance(node, Items):
        for item in node.items:
            yield from _places(item, defense, key)
    if not isinstance(node, Table):
        return
    named, entry = node.entries.get("name"), node.entries.get(key)
    pair = (defense.name, dict(defense.settings)[key])
    if named is not None and entry is not None and (_value(named.value), _value(entry.value)) == pair:
        yield entry.value.place
    for other in node.entries.values():
        yield from _places(other.value, defense, key)


def _value(node: Node) -> object:
    return node.value if isinstance(node, Scalar) else None
