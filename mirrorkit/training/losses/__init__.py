"""Parts of the contrastive loss that a recipe may ask for beside NT-Xent; each is a function of tensors alone."""
