"""The static variant: another, far smaller model, distilled from the encoder; a table of token vectors."""
