"""Ring 3: the JSON API."""
