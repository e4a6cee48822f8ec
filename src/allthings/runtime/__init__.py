"""Settings, roles, supervision, and the order of start and stop."""
