"""Where the reference application meets the outside: HTTP, SQL and models. Each file adapts one thing to one port."""
