"""The ASGI application: one folder or module per dialect."""
