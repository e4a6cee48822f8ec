"""allthings: the open platform for the Internet of Things."""

__version__ = "0.3.0"
