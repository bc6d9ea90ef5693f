"""Ring 2: the only code that reaches a host, by SSH."""
