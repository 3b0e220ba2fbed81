"""Protocols: what a client computes from weights, buffers and its batch.

Pure functions of their arguments: a game runs them for the client, an attack simulates the client with
them. They know neither defences nor data.
"""
