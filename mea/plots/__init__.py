"""Every picture of the pipeline.

Pictures of recordings are in :mod:`~mea.plots.recordings` (over time) and :mod:`~mea.plots.electrodes` (in space), of
training in :mod:`~mea.plots.training`, of results in :mod:`~mea.plots.scores`.

``draw_*`` functions draw one panel on an ``ax``; ``figure_*`` functions build a whole picture, which carries the
numbers it shows, for :func:`mea.plots.style.save_figure`. They take arrays and tables, never files.
"""
