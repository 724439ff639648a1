"""The runtime: object code becomes callable, threads share the work, compiled code is kept on disk."""
