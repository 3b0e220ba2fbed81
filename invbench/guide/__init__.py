"""What there is to name in a matrix, what works on this machine, and a first matrix to begin with."""
