"""What a neural network needs around it: chunks as tensors, batches, the loop of its training, several processes.

Uses features and what is below. Begin with ``training``: one network on one training set.
"""
