"""Recordings as they come: archives, the formats of the vendors (``formats/``), names, labels, the catalogue.

Uses runtime. Begin with ``recording``: what a recording is once it has been read. ``archives`` unpacks what a lab has,
``catalogue`` makes recordings of it. The stages are unzip and h5.
"""
