"""Speed: of what is compiled, and of compiling. `make bench` prints a table and writes results/."""
