"""One true story, told by `make demo`."""
