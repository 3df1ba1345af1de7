"""How good the classifier is on recordings it has not seen, how certain that is, and what else could explain it.

Uses training and what is below. Begin with ``evaluation``: predictions of held-out recordings and their metrics. The
stage is evaluate.
"""
