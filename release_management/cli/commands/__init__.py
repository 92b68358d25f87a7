"""The commands of `relman`, one module per noun."""
