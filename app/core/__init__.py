"""Ring 0, pure: the words, rules and formats of Askfirst as values and functions.

Nothing here does input or output, reads a clock, or rolls dice; time and chance are arguments.
"""
