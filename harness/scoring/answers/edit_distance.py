"""Count the least single-character edits between two texts."""

from __future__ import annotations


def edit_distance(first: str, second: str) -> int:
    """Return the Levenshtein distance of two texts.

    Bit-parallel (Myers 1999, Hyyrö 2003): one column of the table is a pair of integers, so the cost is one step per
    character of `second`, each on integers of as many bits as `first` has characters. Callers bound both.
    """
    if not first or not second:
        return len(first) + len(second)
    places: dict[str, int] = {}
    for place, character in enumerate(first):
        places[character] = places.get(character, 0) | 1 << place
    full, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    rises, falls, distance = full, 0, len(first)
    for character in second:
        equal = places.get(character, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        up = falls | ~(diagonal | rises) & full
        down = rises & diagonal
        distance += bool(up & last) - bool(down & last)
        up = (up << 1 | 1) & full
        rises = ((down << 1) & full) | ~(diagonal | up) & full
        falls = up & diagonal
    return distance


def normalised_distance(first: str, second: str, length: int, most_characters: int) -> float:
    """Return the distance of two texts over `length`, the greater of their lengths as the caller counts it; 0 for none.

    Texts that share too little to be nearer than half, by their lengths alone or beyond `most_characters`, are told
    without the table: what such a caller wants to know is only that the distance is more than half.
    """
    if not length:
        return 0.0
    apart = abs(len(first) - len(second))
    if apart > length / 2 or max(len(first), len(second)) > most_characters:
        return 1.0 if first != second else 0.0
    return edit_distance(first, second) / length
