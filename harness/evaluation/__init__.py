"""From a question or a stored text to a journalled score: asking, judging, scoring files, rescoring."""
