"""Games: one file a threat model. A game builds the victim, makes what the attacker sees and scores the guess.

A game is a frozen dataclass marked `@game(data=...)` with

- `axes`: which axes of the matrix it uses;
- `unsupported(cell) -> str | None` and `public(cell)`: what is known before anything is computed;
- `artefacts(cell)`: trained victims and the like, made once and shared by cells;
- `stage(cell, device) -> Round`: observations for the attack, and behind the wall what scores its guesses:
  `score(guesses)`, `controls()`, `arrays(guesses)`, `grid(guesses)`, `notes`.

Games know no attack: who plays a cell is `invbench/play/`'s business.
"""
