"""What a manifest says of prompts and vectors, and what of it older readers may not miss."""

from __future__ import annotations

from typing import Any

import pytest

from mirrorkit.errors import ConfigError
from mirrorkit.formats.usage import Usage, usage_from

PROMPTS = {"query": "query: ", "document": ""}


def test_the_prompt_is_the_given_one_else_the_named_one_else_the_default() -> None:
    usage = Usage(PROMPTS, "query")
    assert usage.prompt() == usage.prompt(None, "query") == "query: "
    assert usage.prompt("x: ", "query") == "x: "
    assert usage.prompt("") == usage.prompt(None, "document") == ""
    assert Usage().prompt(None, "document") == ""  # every model has these two
    with pytest.raises(ConfigError, match="prompt_name 'passage': the model has query, document"):
        usage.prompt(None, "passage")


@pytest.mark.parametrize(
    ("usage", "plain"),
    [
        (Usage(), True),
        (Usage(PROMPTS), True),  # nobody has to know them who asks for none
        (Usage(PROMPTS, "document"), True),
        (Usage(similarity="dot"), True),
        (Usage(PROMPTS, "query"), False),
        (Usage(normalized=False), False),
        (Usage(include_prompt=False), False),
        (Usage(truncation_side="left"), False),
    ],
)
def test_only_what_a_reader_of_the_first_schema_gets_right_is_plain(usage: Usage, plain: bool) -> None:
    assert usage.plain is plain
    assert usage_from(usage.as_dict()) == usage


def test_a_manifest_of_the_first_schema_reads_as_before() -> None:
    assert usage_from({"normalized": True}) == Usage()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"prompts": ["query"]}, "prompts must be an object"),
        ({"default_prompt": "passage"}, "default_prompt 'passage' is not one of the prompts"),
        ({"normalized": 1}, "normalized must be true or false, is 1"),
        ({"similarity": "maxsim"}, "similarity must be one of cosine, dot, euclidean, manhattan, is 'maxsim'"),
        ({"truncation_side": "middle"}, "truncation_side must be one of right, left"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        usage_from({**Usage().as_dict(), **change})
