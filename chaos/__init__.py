"""Kill -9 of everything, many times, and then the question whether it made a difference: `make chaos`."""
