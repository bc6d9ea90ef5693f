"""Ring 0, pure: the text of the program that runs on a host, and what is sent to it."""
