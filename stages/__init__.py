"""The stages of the pipeline, one script each. A stage knows files and wires; what it computes is in ``mea``."""

from mea.runtime.environment import explain_missing_packages

explain_missing_packages()
