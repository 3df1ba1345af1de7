"""One model for each fold, fitted on what the fold does not hold, and the classifier they make on disk.

Uses models and what is below. Begin with ``fitting``. The stage is train.
"""
