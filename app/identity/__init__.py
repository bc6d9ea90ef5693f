"""Ring 2: who somebody is: passwords and secrets."""
