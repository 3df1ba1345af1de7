"""Summary features: what a recording's spikes do, as a few hundred numbers (docs/features.md).

Uses splitting and what is below. Begin with ``compute``: features of windows of a recording. ``families`` lists every
feature with its unit and meaning; each family is one module. ``cached`` computes features once and keeps them,
``recordings`` has those of the chunks of a split and of whole recordings.

No feature sees the length of the recording, its clock, its name, the number of its electrodes or the order in which
they are listed: counts of electrodes are fractions of the layout, silent electrodes included, and distances are in
steps of the grid. An undefined feature (the size of bursts where there are none) is NaN, never infinite.
"""
