"""What runs the intents: handlers, and the poller that gives them their runs."""
