"""New recordings: the class each is called, how sure that is, why one is refused, and what drove a call.

Uses evaluation and what is below. Begin with ``decisions``. The stage is classify.
"""
