"""Sheets: one file a game, without torch: what its metrics mean and how its results are shown and judged."""
