"""Means, spreads and intervals of scores, and the metrics as columns. No torch here."""
