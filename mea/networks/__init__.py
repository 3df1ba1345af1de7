"""What a neural network needs around it: chunks as tensors, batches, the loop of its training, several processes.

Uses features and what is below. Begin with ``training``: one network on one training set.
``chunks`` and ``channels`` make its input, ``loop`` is a step of it, ``trained`` keeps the result, ``processes`` shares
the work.
"""
