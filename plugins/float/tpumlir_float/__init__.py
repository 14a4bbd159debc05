"""The float plugin."""
