"""The identity fine-tune: recipes, corpus, views, loss and the loop."""
