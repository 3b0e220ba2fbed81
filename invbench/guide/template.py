"""The matrix that `invbench init` writes: commented, on embedded data, done within a minute on a CPU."""

TEMPLATE = """\
# What leaks from a shared gradient: every attack below against every model and defence.
#   invbench run matrix.yaml        computes each cell; what is recorded already is kept
#   invbench report results/first   prints the tables
#   invbench list attacks           names what can stand here (models, defenses, datasets, protocols, ...),
#   invbench list attacks dlg       and its settings with their defaults

name: first             # results go to results/first
dataset: lfw            # embedded faces, as `natural` is photographs; your own: {name: npz, path: images.npz},
                        # {name: folder, path: photos/}: a sub-folder a class, or with `labels: FILE.csv`
targets: 4              # batches attacked in each cell; fewer than 3 prove nothing
offset: 0               # index of the first batch
seed: 0                 # of the victim's weights, the client and the attack; a list makes it an axis
timeout: 600            # seconds a cell may take
threads: 1              # of one cell
compile: off
# What reading nothing scores: each game has controls of its own, which need not be asked for. Game `update` has
# grey and mean unasked, and the same attack on pure noise where it is:
# controls: [grey, mean, noise]
# What each defence costs in accuracy, seconds and bytes, by training in rounds under it, too:
# utility: {clients: 10, rounds: 100, batch_size: 8}

# A cell for each combination. A value is a name, or a mapping of `name` and settings.
grid:
  attack:
    - auto              # the strongest attack known here for what is seen: what a defence should be judged by
    - {name: inverting-gradients, iterations: 300}  # 4,800 by default
    - {name: inverting-gradients, iterations: 300, tv: 0}
  model: [lenet]        # {name: lenet, trained: true} trains the victim first
  batch_size: [1]       # images in a client's batch
  defense:              # a list inside the list is a stack, applied in its order
    - none
    - {name: gaussian, std: 0.1}
    - [{name: clip, norm: 1.0}, {name: gaussian, std: 0.01}]
  protocol: [fedsgd]    # the default; {name: fedsgd, labels: hidden} keeps the labels from the attacker

# Cells of the grid to leave out: those of which every key agrees. A bare name stands for all its settings.
exclude:
  - {attack: {name: inverting-gradients, tv: 0}, defense: gaussian}

# Whole cells beside the grid. They may carry their own dataset, targets, offset and seed.
include:
  - {attack: analytic, model: mlp, batch_size: 1, defense: none}
"""
