"""Numbers and verdicts as words: for Markdown, JUnit, annotations and every page."""
