"""The primitives, one record per op, one file per family."""
