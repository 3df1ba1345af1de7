"""The pages a lab reads: what the pipeline found in its recordings, and the calls of new ones. docs/report.md."""
