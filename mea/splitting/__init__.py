"""Chunks and folds that hold out whole groups, and the audit that looks for leaks between them.

Uses arrays and what is below. Begin with ``folds``. The stage is split.
"""
