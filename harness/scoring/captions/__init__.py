"""How near a caption is to its reference. Outsiders call `caption_score`."""
