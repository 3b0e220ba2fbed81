"""Differential privacy: what a stack of defences guarantees, and what an audit proves that it does not (`audit.py`)."""
