"""The BM1684X target: chip figures, instruction formats as data, instruction builders and kernels."""
