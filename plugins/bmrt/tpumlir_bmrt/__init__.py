"""Runs bmodels on SOPHGO's BMRuntime: on a device, or on the emulator of the chip (CModel)."""
