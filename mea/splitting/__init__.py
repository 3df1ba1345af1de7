"""Chunks, and folds that hold out whole groups of recordings; the audit that looks for leaks between the folds.

Uses arrays and what is below. Begin with ``folds``: it deals the groups of ``groups`` and the chunks of ``chunks`` to
folds; ``audit`` checks the result and ``duplicates`` looks for one measurement under two names. The stage is split.
"""
