"""Objects in the formats of other programs: ImageJ ROIs and GeoJSON for QuPath."""
