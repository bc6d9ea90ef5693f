"""Ring 1: the order of steps, over ports. Read ask, decide, execute, then settle."""
