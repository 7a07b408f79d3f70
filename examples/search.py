"""Search a folder of text files by meaning.

    python examples/search.py BUNDLE FOLDER "a question" "another" [--faiss]

A passage is a paragraph. Its vectors are one matrix, and the best passages are those with the largest dot products:
for a million of them numpy is still quick enough. With --faiss the same search goes through an index, which pays off
beyond that.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mirrorkit import Encoder

Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]  # queries, k -> cosines [n, k], rows [n, k]


def passages(folder: Path) -> list[tuple[str, str]]:
    """Return (file, paragraph) of every .txt and .md file below the folder."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".txt", ".md"))
    return [
        (file.relative_to(folder).as_posix(), " ".join(paragraph.split()))
        for file in files
        for paragraph in file.read_text(encoding="utf-8").split("\n\n")
        if paragraph.strip()
    ]


def by_numpy(vectors: np.ndarray) -> Search:
    """Search by comparing with every vector [m, dim], all of unit length."""

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        cosines = queries @ vectors.T
        rows = np.argsort(-cosines, axis=1)[:, :k]
        return np.take_along_axis(cosines, rows, axis=1), rows

    return search


def by_faiss(vectors: np.ndarray) -> Search:
    """Search by faiss's exact index: pip install 'mirrorkit[search]'."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])  # inner product: the cosine, for unit length
    index.add(vectors)
    return index.search


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("folder", type=Path)
    parser.add_argument("queries", nargs="+")
    parser.add_argument("--faiss", action="store_true")
    parser.add_argument("-k", type=int, default=2, help="passages to show")
    args = parser.parse_args()

    encoder = Encoder(args.bundle)
    found = passages(args.folder)
    if not found:
        parser.error(f"{args.folder}: no .txt or .md file with text in it")
    vectors = encoder.encode_document([text for _, text in found])
    search = (by_faiss if args.faiss else by_numpy)(vectors)
    cosines, rows = search(encoder.encode_query(args.queries), min(args.k, len(found)))
    for query, scores, best in zip(args.queries, cosines, rows, strict=True):
        print(f"\n{query}")
        for score, row in zip(scores, best, strict=True):
            file, text = found[row]
            print(f"  {score:.2f}  {file}: {text if len(text) < 70 else text[:67] + '...'}")


if __name__ == "__main__":
    main()
