"""For tests: single kernels, and whole modules, on SOPHGO's functional emulator (CModel) in this process."""
