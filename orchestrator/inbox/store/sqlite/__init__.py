"""The ports of the inbox on SQLite."""
