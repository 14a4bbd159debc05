"""Passes: the framework, the registry and the chip-neutral passes, one file a pass."""
