"""Statistics that know no model: metrics, intervals, calibration, prediction sets, permutation and paired tests.

Uses splitting and what is below. Begin with ``scores``: its table ``METRICS`` is the only list of metrics.
"""
