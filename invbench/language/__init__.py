"""Language models for whoever holds one: tokens, the network, its training, what it makes likely, and sampling.

Nothing here knows which strings are secret. Victims are trained with it, games and attacks compute with it.
"""
