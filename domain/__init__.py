"""The reference application: GitHub repositories as tenants."""
