"""What is true now: current values, the live feed, discovery of unknown devices."""
