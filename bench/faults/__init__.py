"""A whole installation under load and faults: what is lost, printed twice, slow, silent or written into the log."""
