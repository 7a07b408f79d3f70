"""Development measures of word similarity, made from WordNet, and the cells that chose the recipe for words."""
