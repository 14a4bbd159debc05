"""Instruction builders: one method per instruction, in families."""
