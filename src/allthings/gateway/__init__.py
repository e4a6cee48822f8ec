"""The MQTT broker: sockets, sessions, subscriptions, credentials, blocks."""
