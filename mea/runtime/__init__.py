"""What every room uses: errors, parameters, the command line of a stage, files and tables written whole or not at all,
parallel work on one machine or a cluster, the cache, and the style of plots.

Uses no other room. Begin with ``params`` and ``command``: they are what a stage's script calls.
"""
