"""Files that other programs write or read: generated texts in, answers for a server out."""
