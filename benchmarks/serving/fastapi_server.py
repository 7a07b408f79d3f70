"""What people write in an afternoon: FastAPI around sentence-transformers. `python fastapi_server.py MODEL PORT`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
app = FastAPI()


class Request(BaseModel):  # type: ignore[misc]  # what OpenAI's clients send, and no more
    model: str
    input: str | list[str]
    encoding_format: str = "float"


@app.post("/v1/embeddings")  # type: ignore[untyped-decorator]
def embeddings(request: Request) -> dict[str, object]:
    texts = [request.input] if isinstance(request.input, str) else request.input
    vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    data = [{"object": "embedding", "index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]
    return {"object": "list", "data": data, "model": request.model, "usage": {"prompt_tokens": 0, "total_tokens": 0}}


@app.get("/health")  # type: ignore[untyped-decorator]
def health() -> str:
    return "ok"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
