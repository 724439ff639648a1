"""Graph to graph: differentiate, simplify, fuse, plan memory."""
