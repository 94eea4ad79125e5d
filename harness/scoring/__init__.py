"""The one scorer: a text and a sample become a score. Outsiders call `score.score` and `stages.parse`."""
