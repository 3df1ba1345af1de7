"""From samples to spikes: threshold, peaks, cut-out waveforms, the cleaned (row, col, time) array and its plots.

Uses recordings and what is below. Begin with ``detection``: one recording from samples to events. The stage is array.
"""
