"""What SOPHGO's chips share: the ISA engine, memory, the emitter, kernels' contract, scheduling, cost and checks."""
