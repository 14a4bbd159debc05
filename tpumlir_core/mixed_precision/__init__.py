"""Mixed precision: which operations keep floats so that a network of 8 bits gives what the float network does."""

from tpumlir_core.mixed_precision.search import Mixed, Search, UnitNoise, search_modes

__all__ = ["Mixed", "Search", "UnitNoise", "search_modes"]
