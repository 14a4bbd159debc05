"""The demo: ``python -m demo.centerface``."""
