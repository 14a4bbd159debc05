"""The command line: ``tpumlir`` and its sub-commands, one file each, imported when they are called."""
