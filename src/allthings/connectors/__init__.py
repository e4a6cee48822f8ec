"""Connections to what speaks for itself elsewhere: other brokers."""
