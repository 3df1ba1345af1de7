"""A simulated network of neurons and the recordings a rig would make of it: the sample, and the controls.

Uses recordings and what is below. Begin with ``simulate``. The stage is simulate.
"""
