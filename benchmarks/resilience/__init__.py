"""What one resilient call costs, ours beside the peers', in one interleaved run."""
