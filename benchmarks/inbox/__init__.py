"""What the inbox costs: draining, submitting, waking up, growing; ours beside other queues and beside bare SQL."""
