"""One cell, from its settings to its record: game, attack, game.

    game: victim + data -> observations | attack -> answers | game: scores

The only place that knows both a game and an attack.

- `asking.py`: what is asked of a cell before it is played: whether it can be, and what must be made first;
- `knowing.py`: what the cell's attack is told of the defences;
- `dealing.py`: what the attack sees, of clients to whom a malicious one may have given weights;
- `answering.py`: an attack and its observations, without a cell;
- `playing.py`: the cell played, as its record;
- `reruns.py`: the attack's answers on other observations, which several cells share;
- `forecasting.py`: what a cell should cost.

Functions that a worker calls by name return plain values that can be sent between processes.
"""
