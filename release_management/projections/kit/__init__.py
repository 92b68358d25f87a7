"""Parts that every projection is made of: tables, keys, folds, pages, and how far each has come."""
