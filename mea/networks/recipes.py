"""How a network learns, beyond what the parameters say: each model states its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What is done in training, the same for everyone who takes the model.

    The defaults are the predecessor's training: single chunks as they are, plain cross entropy, a constant rate.

    Attributes
    ----------
    bag
        A training example is so many chunks of one recording, drawn anew each time, and what the network says of it is
        the mean of its logits over them: just as a recording is judged later. Both classes are drawn alike often. 0: an
        example is one chunk, and each is seen once an epoch.
    bags
        Examples an epoch, per training recording.
    keep
        Whether chunks stay in memory as they are shown: a view that is costly to make and small to keep.
    weight_decay
        Of AdamW. 0: plain Adam.
    smoothing
        Of the labels.
    cosine
        Whether the learning rate rises over the first tenth of the training and then falls to 0 along a cosine.
    members
        Whether a fold's model holds one network per inner fold, which chose its epoch by that inner fold; together they
        give the mean of their logits. Each training recording is then judged once by a network that has not seen it.
    whole
        Further members that learn from the whole training side, to the end of the schedule: where batches are few, one
        more or less to learn from matters.
    describes
        Whether the network is taught no class, but the summary features of each chunk: :mod:`mea.training.describers`.
        What it says is then judged as features are. Each chunk is seen once an epoch, to the end of the schedule.
    """

    bag: int = 0
    bags: float = 1.5
    keep: bool = False
    weight_decay: float = 0.0
    smoothing: float = 0.0
    cosine: bool = False
    members: bool = False
    whole: int = 0
    describes: bool = False


PLAIN = Recipe()
