"""Ring 3: the pages."""
