"""The demo: things that replay real recordings. `python -m allthings.scenes.demo --http URL --mqtt URL`."""
