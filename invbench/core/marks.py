"""The decorators by which a file says which part it holds, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

T = TypeVar("T", bound=type)


def attack(
    *,
    game: str,
    aims: Literal["all", "client"] = "all",
    closed_form: Literal["certified", "plain"] | None = None,
    server: Literal["honest", "malicious"] = "honest",
    adds_module: bool = False,
    controls: Sequence[str] = (),
    version: int = 1,
    versions_with: Mapping[str, int] | None = None,
) -> Callable[[T], T]:
    """Mark a class as the attack of its file.

    `game`: its threat model's name. `aims`: `all` pictures behind an update, or those of one `client` of several.
    `closed_form`: it solves for the pictures, and can say that an answer is the only one (`certified`) or cannot.
    `server`: one that gives clients weights of its own (`UpdateAttack.craft`) is `malicious`, and every table says so.
    `adds_module`: such a server also puts a module in front of the network (`UpdateAttack.inserted`).
    `controls`: those of its game that always run beside it, whatever a matrix asks for: `noise` of one that can make
    pictures by itself. They are no part of a cell's id.
    `version`, here and below: raised when a change of the code changes what the part computes; cells of the part then
    have another id, and no others. `versions_with`: by a defence's name, that of the cells that declare it, where a
    change moved those alone.
    """
    if adds_module and server != "malicious":
        raise ValueError('adds_module goes with server="malicious": an honest server changes no architecture')
    beside = dict(versions_with or {})
    for declared in beside.values():
        _check_version(declared)
    return _mark(
        "attack",
        game=game,
        aims=aims,
        closed_form=closed_form,
        server=server,
        adds_module=adds_module,
        controls=_words("controls", controls),
        version=version,
        versions_with=beside,
    )


def model(*, data: str, version: int = 1) -> Callable[[T], T]:
    """Mark a class as the model of its file; `data` is what it takes: `images`, `table` or `text`."""
    return _mark("model", data=data, version=version)


def dataset(*, data: str, version: int = 1) -> Callable[[T], T]:
    """Mark a class as the data set of its file; `data` is what it holds: `images`, `table` or `text`."""
    return _mark("dataset", data=data, version=version)


@overload
def defense(cls: T, /) -> T: ...
@overload
def defense(*, version: int) -> Callable[[T], T]: ...
def defense(cls: T | None = None, /, *, version: int = 1) -> T | Callable[[T], T]:
    """Mark a class as the defence of its file; the stages it acts at are the methods it has."""
    mark = _mark("defense", version=version)
    return mark if cls is None else mark(cls)


def protocol(*, games: Sequence[str], axes: Sequence[str] = (), version: int = 1) -> Callable[[T], T]:
    """Mark a class as the protocol of its file: the games that it serves, the axes that it adds to theirs."""
    return _mark("protocol", games=_words("games", games), axes=_words("axes", axes), version=version)


def game(
    *,
    data: str,
    axes: Sequence[str],
    protocol: str | None = None,
    protocols_of: Sequence[str] = (),
    later: Sequence[str] = (),
    version: int = 1,
) -> Callable[[T], T]:
    """Mark a class as the game of its file.

    `data`: the kind of data that it is played on. `axes`: those of the matrix that it uses, beside what its protocol
    adds. `protocol`: the default one, None for a game without protocols. `protocols_of`: games whose protocols serve
    this one too, beside those that name it (`update`: another question about what clients share). `later`: those of
    the axes, `protocol` among them, that the game got after its first results: at their defaults (no defence, the
    default protocol as it comes) they are no part of a cell's id.
    """
    return _mark(
        "game",
        data=data,
        axes=_words("axes", axes),
        protocol=protocol,
        protocols_of=_words("protocols_of", protocols_of),
        later=_words("later", later),
        version=version,
    )


def _mark(kind: str, **facts: Any) -> Callable[[T], T]:
    _check_version(facts["version"])

    def mark(cls: T) -> T:
        cls.__invbench__ = (kind, facts)  # type: ignore[attr-defined]
        return cls

    return mark


def _check_version(version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"version must be a whole number, at least 1, not {version!r}")


def _words(name: str, given: Sequence[str]) -> tuple[str, ...]:
    """Names that a decorator was given; ValueError where they are one word, whose letters would pass for names."""
    if isinstance(given, str):
        raise ValueError(f"{name} must be a list of names, as in {name}=({given!r},), not the word {given!r}")
    return tuple(given)
