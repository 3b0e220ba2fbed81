"""Somebody else's package: one part of every kind, each in a file of its own, found by entry points alone."""
