"""invbench: a benchmark of attacks that reconstruct private training data, and of the defences."""

__version__ = "0.1.0"
