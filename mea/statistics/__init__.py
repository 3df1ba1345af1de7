"""Numbers that know no model: scores, intervals, calibration, prediction sets, permutation and paired tests.

Uses splitting and what is below. Begin with ``scores``.
"""
