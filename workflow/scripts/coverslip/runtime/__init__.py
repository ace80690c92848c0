"""What wraps a job: log, record of the run, code fingerprint, device, memory."""
