"""The API: for scripts and agents, which may ask and read, and never approve. Read routes, then requests."""
