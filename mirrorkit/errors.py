"""The errors a caller may want to tell apart. On the command line each is one line and exit code 2."""

from __future__ import annotations


class MirrorkitError(Exception):
    """Base of every error that mirrorkit raises on purpose: the message says what to do about it.

    A message names a parameter as `name` or `name=value`, or begins with "name value: must be …". The command line
    says its flag instead.

    >>> import mirrorkit
    >>> try:
    ...     mirrorkit.finetune("tiny", "corpus.txt", epochs=0)
    ... except mirrorkit.MirrorkitError as err:
    ...     print(f"{type(err).__name__}: {err}")
    ConfigError: epochs 0: must be above 0 and finite
    """


class ModelError(MirrorkitError):
    """A model folder or hub id cannot be used as an encoder."""


class CorpusError(MirrorkitError):
    """A text, pair or score file cannot be read as asked; the message names the file and, where it can, the line."""


class ConfigError(MirrorkitError):
    """A hyper-parameter or option is out of range, or two of them exclude each other."""


class OutputError(MirrorkitError):
    """A result cannot be written where it was asked for; nothing half-written is left behind."""


class TrainingError(MirrorkitError):
    """Training cannot go on, for example because the loss is no longer a number."""


class MissingExtraError(MirrorkitError, ImportError):
    """A package behind an extra is not installed."""


class BundleError(MirrorkitError):
    """A bundle, or a variant in it, cannot be used: damaged, incomplete, from a newer release, or not one at all."""


class ExportError(MirrorkitError):
    """A model cannot be exported as asked, or none of its variants passed verification."""


def first_line(err: BaseException) -> str:
    """Return the first line of what an exception says, or its type where it says nothing."""
    text = str(err).strip()
    return text.splitlines()[0] if text else type(err).__name__
