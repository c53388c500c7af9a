"""The ports of the inbox on PostgreSQL."""
