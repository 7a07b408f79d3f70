"""How search and STS change with the steps of one fine-tune, by corpus and base."""
