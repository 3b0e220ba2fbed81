"""Who took part in which rounds, and with what, from sums of updates (Lam et al. 2021, arXiv 2106.06089).

T rounds of n clients. `P` `(T, n)`, of zeros and ones, says who took part; `G` `(n, d)` holds each client's update. The
server sees `A = P G + noise` `(T, d)` and, from device analytics, in how many rounds of each window of s a client took
part: `C_k p_k = c_k` for its column p_k. The columns of A span those of P, so (I - U U') p_k = 0 with U a basis of A's
left singular vectors: with the counts, an integer programme a client. Nothing here knows attacks or observations.
"""
