"""The evidence: every method on the same corrected planes, measured and written down."""
