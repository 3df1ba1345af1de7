"""Versions of the project: two of them compared, dvc.lock, presets, the page of plots.

Uses statistics and what is below. Begin with ``compare``.
"""
