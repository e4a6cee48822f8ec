"""The log in the middle: Arrow blocks in NATS JetStream. The only room that speaks NATS."""
