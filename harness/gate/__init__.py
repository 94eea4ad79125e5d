"""A comparison becomes a verdict with an exit code, by a policy and a measured noise floor."""
