"""Numbers from arrays: agreement, baselines, intervals. No files."""
