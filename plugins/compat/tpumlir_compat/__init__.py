"""The commands of TPU-MLIR 1.30.2 with its flags and file names, done by tpumlir."""
