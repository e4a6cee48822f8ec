"""MQTT over WebSocket: browsers come in at `/mqtt` and are passed on to the gateway."""
