"""The Link header as RFC 8288 allows it: whatever stands around a next link, it is found, and what can't be parsed is not an
end."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.link_header import Link, MalformedLink, links, next_link, origin, with_own_parameters

ASKED = "https://webexapis.com/v1/devices?max=2&start=0"
NEXT = "https://webexapis.com/v1/devices?max=2&start=2"


@pytest.mark.parametrize(
    "header",
    [
        f'<{NEXT}>; rel="next"',
        f"<{NEXT}>;rel=next",
        f"<{NEXT}>  ;  REL = NEXT",
        f'<{NEXT}>; rel="next last"',
        f'<{NEXT}>; rel="last\tnext"',
        f'<{NEXT}>; title="a=b"; rel="next"',
        f'<{NEXT}>; title="; rel=prev, <x>; \\"quoted\\""; rel="next"',
        f"<{NEXT}>; title*=UTF-8'de'n%c3%a4chste; rel=next",
        f'<{NEXT}>; crossorigin; rel="next"; rel="prev"',
        f'<{NEXT}>; rel="next";',
        f', ,<{NEXT}>; rel="next", ,',
        f'<https://webexapis.com/v1/devices?start=0>; rel="prev", <{NEXT}>; rel="next"',
        f'<https://webexapis.com/x?a=1,2;b=3>; rel="first",<{NEXT}>; rel="next"',
        '</v1/devices?max=2&start=2>; rel="next"',
        '<devices?max=2&start=2>; rel="next"',
        '<?max=2&start=2>; rel="next"',
        '<//webexapis.com/v1/devices?max=2&start=2#rows>; rel="next"',
        f'<{NEXT}>; rel="next"; anchor="{ASKED}"',
        f'<{NEXT}>; rel="next"; anchor=""',
        f'<{NEXT}>; anchor="#rows"; rel="next"',
    ],
)
def test_next_is_found(header: str) -> None:
    assert next_link(header, ASKED) == NEXT


@pytest.mark.parametrize("target", ["https://webexapis.com/v1/devices?cursor=a;b,c", "https://webexapis.com/v1/d;x?tags=(y);n=2"])
def test_a_target_may_hold_what_separates_links(target: str) -> None:
    assert next_link(f'<{target}>; rel="next"', ASKED) == target


@pytest.mark.parametrize(
    "header",
    [None, "", " , ", f"<{NEXT}>; rel=prev", f"<{NEXT}>", f"<{NEXT}>; rel=prev; rel=next", f"<{NEXT}>; rel=next; anchor=/x"],
)
def test_without_a_next_link_the_listing_is_over(header: str | None) -> None:
    assert next_link(header, ASKED) is None


@pytest.mark.parametrize(
    "header",
    [
        NEXT,
        f"<{NEXT}",
        f'<{NEXT}>; rel="next',
        f'<{NEXT}>; rel="next" last',
        f'<{NEXT}> rel="next"',
        f'<{NEXT}>; rel="next", {NEXT}',
        'rel="next"',
    ],
)
def test_what_can_not_be_parsed_is_no_end(header: str) -> None:
    with pytest.raises(MalformedLink):
        next_link(header, ASKED)


tokens = st.text("abcdefghijklmnopqrstuvwxyz-0123456789!#$%&'*+.^_`|~", min_size=1, max_size=8)
names = tokens.filter(lambda name: name not in ("rel", "anchor"))
spaces = st.sampled_from(["", " ", "\t", "  "])
quoted = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """Parameters that say nothing about the relation."""
    text = ""
    for name in draw(st.lists(names, max_size=3)):
        value = draw(st.none() | tokens | quoted)
        text += f"{draw(spaces)};{draw(spaces)}{name}"
        text += "" if value is None else f"{draw(spaces)}={draw(spaces)}{value}"
    return text


@st.composite
def link_values(draw: st.DrawFn) -> tuple[str, str, frozenset[str]]:
    """A link as a server may write it, its target, and its relations."""
    target = "https://webexapis.com/v1/" + quote(draw(st.text(max_size=12)), safe=";,/?:@&=+$!*'()~")
    types = st.sampled_from(["next", "prev", "last", "NEXT", "https://example.org/up"])
    relations = draw(st.lists(types, min_size=1, max_size=3))
    word = " ".join(relations)
    rel = f'"{word}"' if len(relations) > 1 or draw(st.booleans()) else word
    head, tail = draw(parameters()), draw(parameters())
    text = f"<{target}>{head}{draw(spaces)};{draw(spaces)}rel{draw(spaces)}={draw(spaces)}{rel}{tail}"
    return text, target, frozenset(word.lower().split())


@given(st.lists(link_values(), max_size=4), st.lists(st.sampled_from([",", " , ", ",,", ",\t,"]), min_size=5, max_size=5))
def test_any_header_is_read_as_it_was_written(written: list[tuple[str, str, frozenset[str]]], commas: list[str]) -> None:
    header = "".join(comma + text for comma, (text, _, _) in zip(commas, written, strict=False))
    assert [(link.target, link.relations) for link in links(header, ASKED)] == [(target, rel) for _, target, rel in written]


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=60))
def test_no_text_raises_anything_but_malformed(text: str) -> None:
    with contextlib.suppress(MalformedLink):
        assert all(isinstance(link, Link) for link in links(text, ASKED))


def test_parameters_without_a_value_go_and_ours_come() -> None:
    own = {"includeCapabilities": "true", "max": "1000"}
    link = "https://webexapis.com/v1/workspaces?max=null&start=2&orgId=undefined&tag=a&tag=b"
    assert with_own_parameters(link, own) == (
        "https://webexapis.com/v1/workspaces?start=2&tag=a&tag=b&includeCapabilities=true&max=1000"
    )


def test_the_others_stay_byte_by_byte() -> None:
    link = "https://webexapis.com/v1/devices?cursor=%FF%00a+b%2fc==&flag&start=2;3"
    assert with_own_parameters(link, {"max": "5"}) == f"{link}&max=5"


def test_what_the_server_says_of_our_parameters_holds() -> None:
    link = "https://webexapis.com/v1/workspaces?max=25&includeCapabilities=false"
    assert with_own_parameters(link, {"includeCapabilities": "true", "max": "1000"}) == link


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://webexapis.com/v1", "https://WebexAPIs.com:443/v1/devices", True),
        ("https://webexapis.com/v1", "http://webexapis.com/v1", False),
        ("https://webexapis.com/v1", "https://webexapis.com:444/v1", False),
        ("https://webexapis.com/v1", "https://somebody@webexapis.com/v1", False),
        ("https://webexapis.com/v1", "https://webexapis.com.example.org/v1", False),
    ],
)
def test_where_a_request_goes(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same
