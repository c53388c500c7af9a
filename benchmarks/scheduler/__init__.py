"""What it costs to keep a hundred thousand interval units going, ours beside other designs, each in its own process."""
