"""Kill -9 everything, many times, and then check that it made no difference: `make chaos`."""
