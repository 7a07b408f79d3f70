"""The encoder of a bundle: text in, vectors out, with numpy, tokenizers and ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirrorkit.errors import ConfigError
from mirrorkit.paths import local_path
from mirrorkit.progress import Progress
from mirrorkit.runtime.encoding import Call
from mirrorkit.runtime.engines import asked, open_encoding
from mirrorkit.runtime.fingerprint import check_expected, fingerprint_of
from mirrorkit.runtime.hub import folder_of
from mirrorkit.runtime.output import Array
from mirrorkit.runtime.pairwise import pairwise
from mirrorkit.runtime.progress import bar
from mirrorkit.text.ragged import Ints
from mirrorkit.text.strings import chunks, strings

if TYPE_CHECKING:
    from mirrorkit.formats.adapter import Adapter
    from mirrorkit.runtime.tensorrt.options import Tensorrt

CHUNK = 4096  # texts; enough for batches of one length, and 6 MB of vectors of 384 dimensions


class Encoder:
    """A bundle, or an ONNX folder made by others, opened for use.

    A bundle may be its folder or the one file that `pack` writes, which is mapped into memory as it is.
    `folder` may also be the id of a bundle on the Hugging Face hub, `owner/name`: what the variant needs of it is
    fetched into the hub's cache, of the branch, tag or commit `revision`. A folder of that name goes first, and nothing
    is fetched where there is one. `variant` is `auto` (the fastest one for the device that verification let pass),
    `fp32` (the fused graph where there is one), `fp16`, `int8`, `int4`, the exact name of a variant, or its file in the
    folder. `device` is `cpu` (the default) or `cuda`; `threads` None means the physical cores this process may use.
    With `verify` the chosen files are held against their recorded hashes first; nothing else of the folder has to be
    there.

    With `tensorrt` TensorRT runs the bundle, on `cuda`: an engine made of it, which is the variant `tensorrt`, or
    ONNX Runtime's provider, which builds an engine of the chosen graph. An engine that is for another GPU, library or
    bundle is refused, or mended by `tensorrt.rebuild`.

    With `engine="openvino"` OpenVINO runs a bundle's plain graphs, on `cpu`, `gpu` or `npu`, in `precision` `bf16`,
    `fp32` or `int8`; None is bf16 where the device has it, else fp32. `variant` then says
    `openvino-bf16` and the like, and may be given in place of both. A precision that the device lacks is refused.

    Without OpenVINO `precision="bf16"` has libmirrorkit_ops multiply the layers of `fp32-fused` in bf16, where the
    environment variable `MIRRORKIT_OPS` names that library and the processor has AMX or AVX-512 for it; `variant` then
    says `ops-bf16`, and may be given in its place. Where it cannot be, it is refused.

    `expect` is the fingerprint that the encoder must have, or its first characters, 8 at least: another model, variant
    or version of it is refused.

    `adapter` is the folder of an adapter that `adapt` made for this encoder: its vectors then come in the space of the
    old one, to be searched for among that one's.

    `long` says what becomes of a text of more than `max_length` tokens: `cut` leaves out the rest; `windows` reads it
    in as few windows as hold it, evenly spread so that they overlap, and gives the mean of their vectors, weighted by
    their tokens; with `error` it is refused with a CorpusError. `long_texts` counts those that were cut or read in
    windows so far.

    With `cuda_graphs` and `device="cuda"` batches of up to 2,048 tokens are filled up to one of a few shapes, and each
    shape becomes a CUDA graph when it first comes: meant for many small calls, never run on a GPU so far.

    Threads may share an encoder. It can be pickled, and a child made by fork reopens it on first use; on a GPU it
    must be made by spawn.

    Raises BundleError for a folder or engine that cannot be used, ConfigError for a variant, device or provider that
    is missing, ModelError for an adapter that is not for this encoder.

    >>> from mirrorkit import Encoder
    >>> encoder = Encoder("bundle", "int8")
    >>> vectors = encoder.encode(["A cat sits on the mat.", "Somebody plays the violin."])
    >>> vectors.shape, str(vectors.dtype), encoder.variant
    ((2, 384), 'float32', 'int8-fused')
    >>> encoder.similarity(vectors, vectors).shape
    (2, 2)
    """

    def __init__(
        self,
        folder: str | Path,
        variant: str = "auto",
        device: str | None = None,
        threads: int | None = None,
        *,
        verify: bool = True,
        tensorrt: Tensorrt | None = None,
        revision: str | None = None,
        engine: str = "onnxruntime",
        precision: str | None = None,
        expect: str | None = None,
        adapter: str | Path | None = None,
        long: str = "cut",
        cuda_graphs: bool = False,
    ) -> None:
        tensorrt = tensorrt and tensorrt.absolute()
        how = asked(
            variant,
            device,
            threads,
            verify=verify,
            tensorrt=tensorrt,
            engine=engine,
            precision=precision,
            long=long,
            cuda_graphs=cuda_graphs,
        )
        folder = folder_of(folder, how.variant, how.chooser, revision=revision)
        self.folder = local_path(folder).absolute()
        self._state = {
            "folder": self.folder,
            "variant": variant,
            "device": how.device,
            "threads": threads,
            "verify": verify,
            "tensorrt": tensorrt,
            "engine": engine,
            "precision": how.precision,
            "expect": expect,
            "adapter": None if adapter is None else local_path(adapter).absolute(),
            "long": long,
            "cuda_graphs": cuda_graphs,
        }
        self._encoding = open_encoding(folder, how)
        opened = self._encoding.opened
        self.variant = opened.variant
        self.max_length = opened.max_length  # tokens, special ones included; longer text is cut
        self.files = opened.files  # what decides the vectors
        self.usage = opened.usage  # prompts, and what can be said of the vectors
        self.dim = self._encoding.dim  # length of a vector
        self.truncate_dims = opened.truncate_dims  # lengths that it was trained to be cut to, the shortest first
        self.long = long  # what becomes of texts of more tokens than `max_length`
        self._fingerprint: str | None = None
        if adapter is not None:
            from mirrorkit.formats.adapter import read_adapter  # few have one

            self._adapt(read_adapter(adapter))
        if expect is not None:
            check_expected(expect, self.fingerprint, f"{self.folder}: {self.variant}")

    def _adapt(self, adapter: Adapter) -> None:
        adapter.check_encoder(fingerprint_of(self._encoding.opened), f"{self.folder}: {self.variant}")
        self._encoding.adapt(adapter)
        self.dim, self.truncate_dims = self._encoding.dim, ()
        self.usage = replace(self.usage, normalized=adapter.record.normalized)
        self._fingerprint = adapter.fingerprint

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of what decides the vectors: graph, weights, tokenizer, where a text is cut, what follows.

        The options of a call, such as the prompt, are no part of it; an adapter is. Files that were not verified are
        read for it, once.

        >>> from mirrorkit import Encoder
        >>> encoder = Encoder("bundle")
        >>> Encoder("bundle", expect=encoder.fingerprint[:12]).variant == encoder.variant
        True
        """
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self._encoding.opened, windows=self.long == "windows")
        return self._fingerprint

    @property
    def long_texts(self) -> int:
        """Texts encoded so far that have more tokens than `max_length`.

        >>> from mirrorkit import Encoder
        >>> encoder = Encoder("bundle", long="windows")
        >>> vectors = encoder.encode(["A short text.", "A text that goes on and on. " * 50])
        >>> vectors.shape, encoder.long_texts
        ((2, 384), 1)
        """
        return self._encoding.long_texts

    def encode(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_type: str = "float32",
        batch_tokens: int | None = None,
        progress: Progress | None = None,
        show_progress: bool = False,
    ) -> Array:
        """Return vectors [n, dim], float32 unless asked otherwise, in the order of `texts`: any iterable of strings.

        `prompt` is put before each text, or the model's own prompt of the name `prompt_name`, else its default prompt.
        `truncate_dim` keeps that many leading components. `normalize` brings what is left to unit length; None leaves
        it as the model has it. `output_type` is float32, float16, int8 or uint8 (a component's place between its lowest
        and highest value over the calibration texts of the export, in 255 steps), binary or ubinary (a bit a component,
        eight to a byte: [n, dim / 8]); the numbers are those of sentence-transformers' `quantize_embeddings`, given the
        same ranges. Batches hold texts of similar length and at most `batch_tokens` tokens, padding
        included (None: what suits the device). On a CPU as many batches run at a time as the encoder has threads.
        `progress` is told of every batch; `show_progress` draws a bar in its place.

        Raises TypeError for anything but strings, naming the index; ConfigError for a prompt that the model does not
        have, for `normalize=False` where the graph itself normalises, and for int8 and uint8 where the bundle has no
        ranges or `normalize` changes lengths.

        >>> from mirrorkit import Encoder
        >>> bits = Encoder("bundle").encode(["A cat sits on the mat."], output_type="ubinary")
        >>> bits.shape, str(bits.dtype)
        ((1, 48), 'uint8')
        """
        call = self._encoding.call(prompt, prompt_name, normalize, truncate_dim, batch_tokens, output_type)
        whole = list(strings(texts, "encode"))
        with bar() if show_progress else nullcontext(progress) as told:
            return self._encoding.encode(whole, call, progress=told)

    def encode_query(
        self,
        texts: Iterable[str],
        *,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_type: str = "float32",
    ) -> Array:
        """Return vectors as `encode` does, of queries: with the prompt `query` if the model has it, else none."""
        return self.encode(
            texts, prompt_name="query", normalize=normalize, truncate_dim=truncate_dim, output_type=output_type
        )

    def encode_document(
        self,
        texts: Iterable[str],
        *,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_type: str = "float32",
    ) -> Array:
        """Return vectors as `encode` does, of documents: with the prompt `document` if the model has it, else none."""
        return self.encode(
            texts, prompt_name="document", normalize=normalize, truncate_dim=truncate_dim, output_type=output_type
        )

    def count_tokens(self, texts: Iterable[str], *, prompt: str | None = None, prompt_name: str | None = None) -> Ints:
        """Return how many tokens the model sees of each text, int64 [n]: prompt and special tokens included, cut.

        A text of `max_length` tokens may have been longer. Raises TypeError and ConfigError as `encode` does.

        >>> from mirrorkit import Encoder
        >>> encoder = Encoder("bundle")
        >>> encoder.count_tokens(["A cat sits on the mat.", ""]).tolist(), encoder.max_length
        ([10, 2], 128)
        """
        before = self.usage.prompt(prompt, prompt_name)
        return self._encoding.opened.tokenizer.ids(list(strings(texts, "count_tokens")), before).lengths

    def similarity(self, a: Array, b: Array) -> Array:
        """Return how alike each of the vectors [n, dim] is to each of [m, dim] by the model's own function, [n, m].

        Of distances it is the negative, so that more is always more alike. Vectors are float32 or float16; those of
        other output types stand on scales of their own.
        """
        return pairwise(a, b, self.usage.similarity)

    def encode_iter(
        self,
        texts: Iterable[str],
        *,
        chunk: int = CHUNK,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_type: str = "float32",
        batch_tokens: int | None = None,
    ) -> Iterator[Array]:
        """Yield vectors [m, dim], as `encode` returns them, for each `chunk` texts in turn.

        No further ahead is read than that.

        >>> from mirrorkit import Encoder
        >>> with open("corpus.txt") as lines:
        ...     [len(vectors) for vectors in Encoder("bundle").encode_iter(lines, chunk=200)]
        [200, 200, 80]
        """
        blocks = self.blocks(
            texts,
            chunk=chunk,
            prompt=prompt,
            prompt_name=prompt_name,
            normalize=normalize,
            truncate_dim=truncate_dim,
            output_type=output_type,
            batch_tokens=batch_tokens,
        )
        return (vectors for _, vectors in blocks)

    def blocks(
        self,
        texts: Iterable[str],
        *,
        chunk: int = CHUNK,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_type: str = "float32",
        batch_tokens: int | None = None,
        first: int = 0,
    ) -> Iterator[tuple[list[str], Array]]:
        """Yield each `chunk` texts in turn together with their vectors; an error counts texts from `first` on."""
        call = self._encoding.call(prompt, prompt_name, normalize, truncate_dim, batch_tokens, output_type)
        if chunk < 1:
            raise ConfigError(f"chunk {chunk}: must be at least 1")
        return self._blocks(chunks(strings(texts, "encode_iter"), chunk), first, call)

    def _blocks(self, blocks: Iterator[list[str]], done: int, call: Call) -> Iterator[tuple[list[str], Array]]:
        for block in blocks:
            yield block, self._encoding.encode(block, call, first=done)
            done += len(block)

    def __getstate__(self) -> dict[str, Any]:
        return self._state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # there is nothing else to restore

    def __repr__(self) -> str:
        return f"Encoder({str(self.folder)!r}, variant={self.variant!r}, dim={self.dim}, max_length={self.max_length})"
