"""A made-up chip as a tpumlir target, with its simulator."""
