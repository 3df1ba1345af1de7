"""Nouns of the pipeline: recordings, events, chunks, splits, models, scores. It knows arrays, not folders."""
