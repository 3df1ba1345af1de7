"""Versions of the project: two of them compared, dvc.lock, presets, the page of plots.

Uses statistics and what is below. Begin with ``compare``: two versions, recording by recording; ``versions`` loads
them. ``lock`` checks dvc.lock; ``presets`` holds named sets of parameters, one file each.
"""
