"""A model's answers become numbers, and numbers become verdicts. Imports none of the other folders."""
