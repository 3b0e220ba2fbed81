"""Helpers of the games: how guesses at pictures are matched and scored, and how they are drawn."""
