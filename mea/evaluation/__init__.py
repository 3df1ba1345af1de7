"""How good the classifier is on recordings it has not seen, how sure that is, and what else could explain it.

Uses training and what is below. Begin with ``evaluation``. The stage is evaluate.
"""
