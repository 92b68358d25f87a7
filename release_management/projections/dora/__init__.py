"""DORA's five metrics: the facts they are measured by, the formulas, and the queries."""
