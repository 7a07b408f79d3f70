"""A bundle over HTTP: OpenAI's and text-embeddings-inference's requests, answered by the light runtime; no torch."""
