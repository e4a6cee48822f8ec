"""What a thing is: Thing Descriptions, value types, units, names and time. Frozen values, no I/O."""
