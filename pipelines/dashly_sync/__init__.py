"""Puts source, state and warehouse together: slices, runs, and the command line."""
