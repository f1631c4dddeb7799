"""Which queries are asked together: the grammar, and what is asked in their place."""

from __future__ import annotations

import re

import promql_parser
import pytest

from scaler.adapters.promql_groups import group_form, grouped_query

SHOP = 'sum(rate(hits_total{namespace="shop",service="checkout"}[1m]))'
BUCKETS = 'histogram_quantile(0.99, sum by (le) (rate(hits_bucket{service="a"}[1m])))'


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (SHOP, "sum by (namespace, service) (rate(hits_total{...}[1m]))"),
        (
            'sum(rate(hits{code!~"5..",a="x"}[1m] offset 5m))',
            'sum by (a) (rate(hits{code!~"5..",...}[1m] offset 5m))',
        ),
        ('2 * sum(rate(hits{a="x"}[1m])) / 3', "2 * sum by (a) (rate(hits{...}[1m])) / 3"),
        ('(max(up{a="x"}))', "(max by (a) (up{...}))"),
        ('sum(avg_over_time(up{a="x"}[5m]))', "sum by (a) (avg_over_time(up{...}[5m]))"),
        ('sum({__name__="up",a="x"})', 'sum by (a) ({__name__="up",...})'),
        (BUCKETS, "histogram_quantile(0.99, sum by (le, service) (rate(hits_bucket{...}[1m])))"),
    ],
)
def test_a_query_with_a_form_is_asked_by_its_labels(query, asked):
    form = group_form(query)
    assert form is not None
    assert form.template.replace("\0", "...") == asked
    promql_parser.parse(grouped_query(form, [form.values, ("z",) * len(form.labels)]))


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(hits[1m]))",
        'rate(hits{a="x"}[1m])',
        'sum by (pod) (rate(hits{a="x"}[1m]))',
        'sum without (pod) (rate(hits{a="x"}[1m]))',
        'sum(rate(hits{a="x"}[1m])) / sum(rate(hits{a="x"}[1h]))',
        'sum(rate(hits{a="x"}[1m])) > 1',
        'sum(rate(hits{a="x"}[1m])) or vector(0)',
        'topk(3, rate(hits{a="x"}[1m]))',
        'sum(max_over_time(rate(hits{a="x"}[1m])[5m:]))',
        'sum(sum(up{a="x"}))',
        'sum(up{a="x"} @ 5)',
        'sum(up{a="x",a="y"})',
        'sum(up{a=""})',
        'sum(up{a="x" or b="y"})',
        'histogram_quantile(0.99, sum(rate(hits{a="x"}[1m])))',
        'histogram_quantile(0.99, sum by (le) (rate(hits{le="5",a="x"}[1m])))',
        'histogram_quantile(0.9, rate(hits{a="x"}[1m]))',
        "no promql",
    ],
)
def test_all_others_are_asked_alone(query):
    assert group_form(query) is None


def test_members_differ_in_values_alone_and_are_told_apart_by_them():
    search = group_form(SHOP.replace("checkout", "search"))
    shop = group_form(SHOP)
    assert search.template == shop.template
    assert (shop.values, search.values) == (("shop", "checkout"), ("shop", "search"))
    assert group_form(SHOP.replace("1m", "2m")).template != shop.template
    asked = grouped_query(shop, [shop.values, search.values])
    assert 'namespace="shop",service=~"checkout|search"' in asked


@pytest.mark.parametrize("value", ["a.b", "a|b", "(x", "a-b_c:d/e", "é ñ", 'a"b', "a\\b", "a\nb"])
def test_a_value_matches_itself_alone(value):
    form = group_form('sum(up{a="x"})')
    found = promql_parser.parse(grouped_query(form, [(value,), ("z",)]))
    (matcher,) = found.expr.matchers.matchers
    matches = [
        one for one in (value, value + "z", "x" + value, "aXb") if re.fullmatch(matcher.value, one)
    ]
    assert matches == [value]
