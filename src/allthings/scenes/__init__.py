"""Applications on top of the platform, each using only what is public: HTTP, MQTT, files of its own."""
