"""Long measurements of correctness, too long for the tests: `make sweep` runs them all and writes results/."""
