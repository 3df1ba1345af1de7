"""Nouns of the pipeline: recordings, events, chunks, splits, models, scores. It knows arrays, not folders."""

import os

# Threads that wait asleep. OpenMP reads this once, when torch is loaded; spinning threads made a training on a machine
# that others use too ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
