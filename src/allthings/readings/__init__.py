"""Blocks of raw messages become readings, events and rejects."""
