"""The executors: they carry step orders out on targets."""
