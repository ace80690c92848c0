"""Images as arrays: intensity, resizing, fields of view, labels. No files."""
