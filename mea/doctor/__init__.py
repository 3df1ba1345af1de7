"""The doctor: looks at a lab's files, its data set and the project before anything is run (docs/doctor.md).

Uses evaluation and what is below. Begin with ``files``: what is wrong with one file; ``dataset`` and ``power`` look at
all of them, ``project`` at DVC and Git. The command is ``mea doctor``.
"""
