"""A model's answers become numbers, and numbers become verdicts. Imports none of the other folders."""

import re
import sys

# Our readers are built of possessive quantifiers, so that no text costs them more than its length. Before Python 3.11.5
# `re` gives up on such a group that holds a choice (gh-106052): right answers would score 0 without a word.
if re.fullmatch(r"(?:x|<(?!/))*+</", "x</") is None:
    raise ImportError(
        f"satori-bench needs Python 3.11.5 or newer: the regular expressions of {sys.version.split()[0]} miss what is "
        "there, and answers would be scored wrongly"
    )
