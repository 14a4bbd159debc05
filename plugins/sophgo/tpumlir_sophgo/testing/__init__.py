"""Helpers for kernel tests: run single kernels on SOPHGO's functional emulator (CModel)."""
