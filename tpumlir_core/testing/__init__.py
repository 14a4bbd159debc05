"""The conformance kit: what every plugin of a kind promises, checked. Three lines in a plugin's test file::

    from tpumlir_core.testing import conformance

    TestAcme = conformance("frontend", "acme")

and pytest runs every check as a test of that class. ``tpumlir plugins check acme`` runs the same checks without pytest.
"""

from tpumlir_core.testing.kit import Check, CheckFailed, CheckSkipped, Outcome, State, Subject
from tpumlir_core.testing.suites import checks_of, conformance, run_kit

__all__ = ["Check", "CheckFailed", "CheckSkipped", "Outcome", "State", "Subject", "checks_of", "conformance", "run_kit"]
