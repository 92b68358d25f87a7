"""A true story, told by `make demo`."""
