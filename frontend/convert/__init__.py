"""Source conversion: a function's statements go through hooks, which see whether what they decide on is traced."""
