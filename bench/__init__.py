"""The measurements of `make bench`: ratios against named peers, both sides in one run."""
