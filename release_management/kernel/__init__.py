"""The kernel: types, names, times, records and errors that every layer shares, and how an aggregate declares itself."""
