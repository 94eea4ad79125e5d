"""Whether an answer is right under each protocol. Outsiders call `check.check_answer`."""
