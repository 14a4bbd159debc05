"""Two custom operators, each in one file: ``acme::SwapChannel`` and ``acme::AbsAdd``."""
