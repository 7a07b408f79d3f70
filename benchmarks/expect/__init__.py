"""What to expect of a fine-tune: bases, corpora, amounts of text and recipes, before and after; see expect.md."""
