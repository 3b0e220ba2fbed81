"""Gradient matching: find pictures whose simulated update equals the one seen.

One engine with parts; an attack of the gradient-matching family is a preset of them:

- `objectives.py`: how far a simulated update is from the one seen;
- `regularisers.py`: what pictures look like;
- `labels.py`: where labels come from (known, idlg, joint);
- `problem.py`: the parts put together as one batched function of many lanes;
- `programs.py`, `tracing.py`, `compiling.py`: how that function is computed;
- `adam.py`, `lbfgs.py`, `wolfe.py` (with `history.py`): optimisers of many lanes, each with a state of its own;
- `lanes.py`, `answers.py`: chunks of lanes, and the best lane of each target;
- `recipe.py`: the settings that presets share; `fast.py`: a short recipe.
"""
