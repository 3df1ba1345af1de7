"""One file a model. ``train.model`` names one of these."""

NAMES = ("cnn_lstm", "rate")
