"""The example target against the kit, as its author would run it."""

from tpumlir_core.testing import conformance

TestTarget = conformance("target", "example")
TestRunner = conformance("runner", "example")
