"""A query reads its own namespace alone, whatever it consists of."""

from __future__ import annotations

import re

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.namespace_label import as_written, held, holder_of
from scaler.errors import QueryRefusedError


def shop(query):
    return held(query, "namespace", "shop")


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        pytest.param("up", 'up{namespace="shop"}', id="a name alone"),
        pytest.param("up{}", 'up{namespace="shop"}', id="empty braces behind it"),
        pytest.param('{__name__=~"a|b"}', '{__name__=~"a|b",namespace="shop"}', id="no name"),
        pytest.param('{"a b"}', '{__name__="a b",namespace="shop"}', id="a name in quotes"),
        pytest.param(
            'up{namespace="shop"} or up', 'up{namespace="shop"} or up{namespace="shop"}',
            id="its own namespace",
        ),
        pytest.param(
            "max_over_time(rate(a[5m] offset 1m)[1h:1m] @ end()) / b @ 5 offset -1d",
            'max_over_time(rate(a{namespace="shop"}[5m] offset 1m)[1h:1m] @ end()) / '
            'b{namespace="shop"} @ 5.000 offset -1d',
            id="subqueries, offset and @",
        ),
        pytest.param(
            "topk(scalar(a), b)", 'topk(scalar(a{namespace="shop"}), b{namespace="shop"})',
            id="the parameter of an aggregation",
        ),
        pytest.param(
            "a{b=\"}\",c='{',d=`\"`}", 'a{b="}",c="{",d="\\"",namespace="shop"}',
            id="braces and quotes within strings",
        ),
        pytest.param(
            'a # }{ namespace="x"\n + b', 'a{namespace="shop"} + b{namespace="shop"}',
            id="a comment",
        ),
        pytest.param(
            'label_replace(a, "namespace", "x", "", "")',
            'label_replace(a{namespace="shop"}, "namespace", "x", "", "")',
            id="a label of what has been read may be anything",
        ),
        pytest.param("sum without () (a)", 'sum without () (a{namespace="shop"})', id="without"),
        pytest.param("sum(sum)", 'sum(sum{namespace="shop"})', id="a series named as a keyword"),
        pytest.param("vector(5)", "vector(5)", id="what reads nothing"),
    ],
)  # fmt: skip
def test_each_selector_has_the_label(query, asked):
    assert " ".join(shop(query).split()) == asked


@pytest.mark.parametrize(
    ("query", "why"),
    [
        pytest.param('up{namespace="x"}', 'may have namespace="shop" alone', id="another value"),
        pytest.param('up{namespace!="shop"}', "alone", id="any other value"),
        pytest.param('up{namespace=~"shop|x"}', "alone", id="an expression"),
        pytest.param('up{namespace=~"shop"}', "alone", id="an expression of its own"),
        pytest.param('up{namespace=""}', "alone", id="none"),
        pytest.param('up{namespace="shop",namespace="x"}', "alone", id="two values"),
        pytest.param('up{"namespace"="x"}', "alone", id="in quotes"),
        pytest.param('up{"name\\x73pace"="x"}', "alone", id="with an escape"),
        pytest.param('up{`namespace`="x"}', "alone", id="between backticks"),
        pytest.param('a + up{namespace="x"}', "alone", id="in one of two selectors"),
        pytest.param('topk(scalar(up{namespace="x"}), a)', "alone", id="in a parameter"),
        pytest.param('max_over_time(up{namespace="x"}[5m:])', "alone", id="in a subquery"),
        pytest.param('up{a="b" or namespace="x"}', "within braces", id="or in braces"),
        pytest.param('up{a="b" or c="d"}', "within braces", id="or in braces, of other labels"),
        pytest.param("info(up)", "info", id="a selector that is not written"),
        pytest.param('info(up, {a="b"})', "info", id="half of one"),
        pytest.param("{}", "cannot be read", id="all"),
        pytest.param('{namespace=""}', "alone", id="all without the label"),
        pytest.param("WITH (a = up) a", "cannot be read", id="of another language"),
        pytest.param("up keep_metric_names", "cannot be read", id="of that language, behind"),
        pytest.param("nosuch(up)", "cannot be read", id="a function that is not known"),
        pytest.param('up{a="b"', "cannot be read", id="half a query"),
        pytest.param('up{a="b"}}', "cannot be read", id="a brace too many"),
        pytest.param("up\x00", "cannot be read", id="a null byte"),
        pytest.param("sum by () (up)", "written again", id="what could not be sent as it is"),
        pytest.param("(" * 101 + "up" + ")" * 101, "101 brackets", id="too deep"),
        pytest.param("(" * 100_000, "100000 characters", id="deep enough to end a process"),
        pytest.param(f'up{{a="{"x" * 17_000}"}}', "characters", id="too long"),
    ],
)
def test_what_cannot_be_held_is_refused_with_the_reason(query, why):
    if query == '{namespace=""}':
        why = "cannot be read"  # nothing is asked for
    with pytest.raises(QueryRefusedError, match=re.escape(why)):
        shop(query)


NAMES = st.sampled_from(["up", "a:b", "sum", "offset", "requests_total", "by", "start"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
LABELS = st.sampled_from(["job", "le", "pod", "Namespace", "namespace_"])


def quoted(text):
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text) + '"'


@st.composite
def selectors(draw):
    matchers = [
        f"{label}{draw(st.sampled_from(['=', '!=']))}{quoted(draw(TEXTS))}"
        for label in draw(st.lists(LABELS, max_size=3))
    ]
    braces = "{" + ",".join(matchers) + "}" if matchers else ""
    return draw(NAMES) + braces


def times():
    return st.sampled_from(["", " offset 5m", " offset -1h", " @ end()", " @ 12.5 offset 1d"])


def within(inner):
    return st.one_of(
        st.builds("sum({})".format, inner),
        st.builds("topk by (pod) (3, {})".format, inner),
        st.builds("topk(scalar({}), {})".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["+", "/", "> bool"]), inner),
        st.builds("({}) or on(pod) ({})".format, inner, inner),
        st.builds("max_over_time(({})[1h:5m]{})".format, inner, times()),
        st.builds('label_replace({}, "namespace", "x", "a", "b")'.format, inner),
        st.builds("absent({}) # {{}}\n".format, inner),
    )


QUERIES = st.recursive(
    st.builds("{}{}".format, selectors(), times())
    | st.builds("rate({}[5m]{})".format, selectors(), times()),
    within,
    max_leaves=6,
)


@given(QUERIES)
def test_whatever_a_query_consists_of_all_selectors_have_the_label(query):
    text = shop(query)

    before, after = selected(query), selected(text)
    assert len(after) == len(before) > 0
    for was, now in zip(before, after, strict=True):
        assert ("namespace", "shop") in now
        assert sorted(now - {("namespace", "shop")}) == sorted(was)
    # And by the text: behind each name stand braces with the label.
    plain = re.sub(r'"(?:\\.|[^"\\])*"', lambda m: m[0] if m[0] == '"shop"' else '""', text)
    assert plain.count('namespace="shop"') == len(before)


@given(QUERIES)
def test_what_is_held_stays_as_it_is(query):
    assert shop(shop(query)) == shop(query)


@given(st.text(max_size=40) | st.text("up{}()[]=~!\"'`#\\ nameshorx,\n@:5m", max_size=40))
def test_no_text_whatever_gets_around_it(text):
    try:
        asked = shop(text)
    except QueryRefusedError:
        return
    assert all(("namespace", "shop") in one for one in selected(asked))


def selected(query):
    """Return the labels of each selector, with the values that they must have."""
    found = []

    def see(node):
        if isinstance(node, promql_parser.VectorSelector):
            found.append({(one.name, one.value) for one in node.matchers.matchers})

    promql_parser.walk(promql_parser.parse(query), pre_visit=see)
    return found


def test_without_the_option_a_query_is_asked_as_it_is_written():
    assert holder_of(None) is as_written
    assert as_written("shop", "anything") == "anything"


@pytest.mark.parametrize("label", ["", "a b", "__name__", "a-b", '"'])
def test_the_label_is_a_label(label):
    with pytest.raises(QueryRefusedError, match="must be the name of a label"):
        holder_of(label)


def test_a_refused_query_is_refused_each_time():
    hold = holder_of("team")
    for _ in range(2):
        with pytest.raises(QueryRefusedError, match="team"):
            hold("shop", 'up{team="x"}')
    assert hold("shop", "up") == 'up{team="shop"}'
    assert hold("store", "up") == 'up{team="store"}'
