"""The built web console; its source is web-console/ at the top of the repository."""
