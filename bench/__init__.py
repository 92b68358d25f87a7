"""What `make bench` measures: ratios against named peers, both sides in one run."""
