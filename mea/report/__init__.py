"""The pages a lab reads: what the pipeline found in its recordings, and the predictions for new ones (docs/report.md).

Uses classification and what is below. Begin with ``results``: all that the stages wrote, read once. ``pages`` fills the
templates beside it. The stage is report.
"""
