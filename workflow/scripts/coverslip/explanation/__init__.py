"""What a classification rests on."""
