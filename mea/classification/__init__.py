"""New recordings: the predicted class and its confidence, why one is rejected, and attributions of a prediction.

Uses evaluation and what is below. Begin with ``decisions``: one recording; ``classify`` reads files and is the command,
``occlusion`` computes attributions. The stage is classify.
"""
