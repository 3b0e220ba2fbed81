"""What a malicious server puts into the models that it gives to clients, and how it reads their updates.

- `edges.py`: edges of bins that pictures fall into equally often, from the server's own pictures;
- `imprint.py`: the module whose units are such bins (Fowl et al. 2022);
- `bins.py`: what the gradient of those units tells;
- `traps.py`: rows of a first layer that rarely fire (Boenisch et al. 2023);
- `loki.py`: kernels that keep clients apart in a sum (Zhao et al. 2023);
- `fished.py`: a classifier through which one class alone sends gradients (Wen et al. 2022);
- `inner.py`: the attack that reads what was singled out;
- `ranking.py`: which candidates are given back, chosen without any truth.

Nothing here sees a target: what is crafted follows from what is public and from the global weights.
"""
