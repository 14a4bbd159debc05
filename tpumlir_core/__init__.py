"""tpumlir: a plugin framework that compiles trained networks to accelerator binaries."""

__version__ = "0.1.0"
