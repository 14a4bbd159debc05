"""The bmrt plugin."""
