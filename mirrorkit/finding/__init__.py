"""Search the lines and paragraphs of files and folders with a bundle."""
