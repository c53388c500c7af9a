"""What a failure is: its category, how it is recognised, and how each category is treated."""
