"""Leaves that everything else may import: errors, typed settings, random streams, artefacts, memory, progress."""
