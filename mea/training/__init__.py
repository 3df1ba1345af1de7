"""One model for each fold, fitted on what the fold does not hold, and the classifier they make on disk.

Uses models and what is below. Begin with ``fitting``: one fold, from its recordings to its folder.
``classifier`` reads and writes what all folds make together. The stage is train.
"""
