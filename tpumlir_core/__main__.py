"""``python -m tpumlir_core``: the command line, without its script on the path."""

from tpumlir_core.cli.main import main

main()
