"""Passes: functions from a graph to a graph. The order in which they run is `weft/pipeline.py`'s."""
