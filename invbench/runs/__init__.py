"""A run: which cells are left, which workers and devices compute them, and the results folder kept whole meanwhile."""
