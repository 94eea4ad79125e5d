"""Where a model looked, and whether looking there mattered: attention by regions, and edits of the regions it named."""
