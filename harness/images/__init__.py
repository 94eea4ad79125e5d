"""What a picture is to a model: upright pixels, the size that it sees, the frames in which boxes are written."""
