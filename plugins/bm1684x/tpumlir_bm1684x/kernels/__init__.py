"""Kernels of the chip, one module per family; each module registers its own."""
