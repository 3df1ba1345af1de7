"""The models: one file and one class each, all with the methods of ``base.Model``; ``registry`` lists them.

Uses networks and all rooms below it. Begin with ``base``, then ``rate``, the shortest model. ``feature_model`` and
``network_model`` hold what models of a kind share.
"""
