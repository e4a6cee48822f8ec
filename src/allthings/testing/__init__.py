"""What is shipped for tests: a platform in a process tree, fake devices, laws for back ends."""
