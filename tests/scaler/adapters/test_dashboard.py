"""The page in a real browser: what it shows, how it follows ticks, and what it loads."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from scaler.adapters import dashboard
from scaler.adapters.http.app import add_page, create_app
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Condition, ConditionKind, ServiceView
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.trust import Standing
from scaler.policy.policy import Mode
from tests.paths import ROOT
from tests.scaler.adapters.chromium import Tab
from tests.scaler.adapters.http.snapshots import AT, snapshot, view
from tests.waiting import PATIENCE_S

HOSTILE = "<b>bold</b><img src=x onerror=document.title='taken'>"


@pytest.fixture
def tab(browser: Tab) -> Iterator[Tab]:
    """Return the browser's tab, without the events of the previous test."""
    browser.open("about:blank")
    browser.events.clear()
    yield browser
    browser.open("about:blank")


@pytest.fixture
def holder() -> SnapshotHolder:
    return SnapshotHolder()


def served(holder: SnapshotHolder, settings: ApiSettings | None = None, port: int = 0) -> ApiServer:
    app = create_app(holder, settings or ApiSettings(allow_anonymous=True))
    add_page(app, dashboard.page)
    return ApiServer(app, Address(port=port))


@pytest.fixture
def url(holder: SnapshotHolder) -> Iterator[str]:
    with served(holder) as server:
        yield server.url


def field(name: str) -> str:
    return f"document.querySelector('[data-field={name}]')?.textContent"


def part(name: str) -> str:
    return f"document.querySelector('[data-part={name}]')?.innerText"


def cells(tab: Tab, service: str) -> list[str]:
    row = f"document.querySelector('[data-service=\"{service}\"]')"
    return tab.until(f"{row} && [...{row}.cells].map((cell) => cell.textContent)")


def troubled(service: str) -> ServiceView:
    contested = Condition(ConditionKind.FLOOR_CONTESTED, True, "Overwritten", "by kubectl")
    fine = Condition(ConditionKind.READY, True, "Deciding", "all is well")
    return replace(
        view(service),
        error="the query returned 3 series",
        decision=None,
        published_limit=None,
        forecast=None,
        conditions=(contested, fine),
    )


# Content


def test_each_service_has_a_row_with_demand_replicas_floor_plan_hpa_limit_and_binding(
    tab, holder, url
):
    holder.publish(snapshot(view("prod/shop"), view("prod/pay", ready=3)))
    tab.open(url)

    # 8 x 155 x 0.75 = 930; 930 x 1.05 = 976.5; 8 x 155 = 1,240
    shop = ["prod/shop", "930", "977", "8", "8", "8", "9", "1,240", "capacity", "trusted"]
    assert cells(tab, "prod/shop") == shop
    assert cells(tab, "prod/pay")[-2:] == ["capacity", "trusted"]


def test_the_chosen_service_shows_floor_limit_binding_trust_and_savings(tab, holder, url):
    holder.publish(snapshot())
    tab.open(url)

    tab.until(f"{field('floor')} === '8'")
    assert tab.js(field("limit")) == "1,240"
    assert tab.js(field("binding")) == "what the ready replicas sustain"
    assert tab.js(field("trust")) == "trusted"
    assert tab.js(field("saved")) == "1"  # 9 replica-hours of a plain HPA, 8 of ours
    assert "Gateways may admit 1240" in tab.js(part("why"))
    assert "stress" in tab.js(part("limit"))
    assert re.search(r"tidegate\s+8\s+plain HPA\s+9", tab.js(part("ledger")))
    assert re.search(r"serve the demand\s+tidegate\s+0\s+plain HPA\s+30", tab.js(part("ledger")))


def test_each_limit_is_a_bar_as_long_as_it_is_high_and_each_class_a_part_of_it(tab, holder, url):
    shop = view()
    assert shop.published_limit is not None
    low = replace(shop.published_limit.safe, qps=620.0)
    limit = replace(shop.published_limit, safe=low)
    holder.publish(snapshot(replace(shop, published_limit=limit)))
    tab.open(url)

    rows = (
        "[...document.querySelectorAll('[data-part=limit] .bars li')].map((row) => ["
        "row.children[0].textContent, row.children[1].textContent,"
        "...[...row.querySelectorAll('.track > *')].map((bar) => bar.style.width)])"
    )
    assert tab.until(f"{rows}.length && {rows}") == [
        ["now and for 5 min", "1,240", "0%", "100%"],
        ["after the lease has expired", "620", "0%", "50%"],
        ["pay", "120 guaranteed, up to all", "100%", f"{100 * 120 / 1240:g}%"],
        ["stress", "0 guaranteed, at most 40", f"{100 * 40 / 1240:g}%", "0%"],
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({}, "nothing; the floor and the limit are in force", id="all is well"),
        pytest.param({"error": "no series"}, "put right what is told above", id="an error"),
        pytest.param({"forecast": None}, "train a model", id="without a forecast"),
    ],
)
def test_the_page_says_what_to_do_next(tab, holder, url, changed, said):
    holder.publish(snapshot(replace(view(), **changed)))
    tab.open(url)

    assert said in tab.until(field("next"))


def test_of_a_service_in_recommend_the_next_step_is_to_enforce(tab, holder, url):
    shop = view()
    holder.publish(snapshot(replace(shop, policy=replace(shop.policy, mode=Mode.RECOMMEND))))
    tab.open(url)

    assert "set spec.mode to Enforce" in tab.until(field("next"))


def test_forecast_demand_and_replicas_are_drawn(tab, holder, url):
    holder.publish(snapshot())
    tab.open(url)

    tab.until("document.querySelectorAll('#figure .scatterlayer .trace').length")
    drawn = tab.js("document.getElementById('figure').data.map((trace) => trace.name)")
    assert {"forecast 50–90 %", "forecast, median", "capacity of 8 ready"} <= set(drawn)
    assert {"observed", "limit", "floor", "replicas", "plain HPA would have"} <= set(drawn)


def test_an_unknown_demand_is_a_dash_and_never_zero(tab, holder, url):
    holder.publish(snapshot(replace(view(), observed_qps=None)))
    tab.open(url)

    assert cells(tab, "prod/shop")[1] == "–"
    tab.until(f"{field('observed')} === '–'")


def test_errors_and_bad_conditions_stand_out_and_good_conditions_do_not(tab, holder, url):
    holder.publish(snapshot(troubled("prod/shop")))
    tab.open(url)

    assert "3 series" in tab.until(field("error"))
    notes = "[...document.querySelectorAll('[data-field=condition]')].map((p) => p.textContent)"
    assert tab.js(notes) == ["The floor is contested (Overwritten): by kubectl"]
    assert "needs attention" in cells(tab, "prod/shop")[0]
    assert tab.js(field("floor")) == "8"  # it stands, whatever was not decided


def test_without_a_forecast_nothing_is_said_of_its_trust(tab, holder, url):
    holder.publish(snapshot(replace(view(), forecast=None)))
    tab.open(f"{url}/#prod%2Fshop")
    assert tab.until(field("trust")) == "none"
    said = tab.until(part("trust"))
    assert "There is no forecast. A margin of" in said
    assert "It is" not in said


def test_a_benched_forecast_is_shown_as_benched(tab, holder, url):
    shop = view()
    assert shop.trust is not None
    holder.publish(snapshot(replace(shop, trust=replace(shop.trust, standing=Standing.BENCHED))))
    tab.open(url)

    tab.until(f"{field('trust')} === 'benched'")
    assert cells(tab, "prod/shop")[-1] == "none trusted"


def test_active_and_future_events_are_shown_and_past_ones_are_not(tab, holder, url):
    shop = view()
    events = (
        AnnouncedEvent("over", AT - 7200, AT - 3600, qps=1.0),
        AnnouncedEvent("live", AT - 600, AT + 600, qps=2000.0),
        AnnouncedEvent(HOSTILE, AT + 3600, AT + 7200, multiplier=1.5),
    )
    holder.publish(snapshot(replace(shop, policy=replace(shop.policy, events=events))))
    tab.open(url)

    shown = tab.until(part("events"))
    assert "live: now, ends in 10 min; 2,000 req/s" in shown
    assert f"{HOSTILE}: in 60 min; 1.5 times the usual" in shown
    assert "over: " not in shown


def test_text_from_a_policy_never_becomes_markup(tab, holder, url):
    shop = view(f"prod/{HOSTILE}")
    events = (AnnouncedEvent(HOSTILE, AT, AT + 600, qps=2000.0),)
    policy = replace(shop.policy, events=events)
    holder.publish(snapshot(replace(shop, policy=policy, error=HOSTILE)))
    tab.open(url)

    tab.until("document.querySelectorAll('#figure .annotation').length >= 2")
    assert tab.js("document.querySelectorAll('main img').length") == 0
    assert "<b>bold</b>" in tab.js("figure.querySelector('.infolayer').textContent")
    assert HOSTILE in tab.js(field("error"))
    assert "taken" not in tab.js("document.title").partition("·")[2]


# Following ticks


def test_a_new_tick_changes_the_page_without_a_reload(tab, holder, url):
    holder.publish(snapshot())
    tab.open(url)
    tab.until(f"{field('floor')} === '8'")
    tab.js("window.same = true")

    holder.publish(snapshot(view(ready=11), view("prod/new"), tick=2))

    tab.until(f"{field('floor')} === '11'")
    assert tab.js(field("limit")) == "1,705"  # 11 x 155
    assert cells(tab, "prod/new")[4] == "8"
    assert tab.js("window.same") is True


def test_a_deleted_service_disappears_from_the_page(tab, holder, url):
    holder.publish(snapshot(view("prod/shop"), view("prod/pay")))
    tab.open(f"{url}/#prod%2Fshop")
    tab.until(f"{field('floor')} === '8'")

    holder.publish(snapshot(view("prod/pay"), tick=2))

    tab.until("document.body.innerText.includes('There is no service prod/shop')")
    assert tab.js("document.querySelectorAll('[data-service]').length") == 1
    assert tab.js("document.getElementById('service').hidden") is True


def test_before_the_first_tick_the_page_says_that_it_waits(tab, url):
    tab.open(url)

    tab.until("document.body.innerText.includes('waiting for the first tick')")


def test_a_lost_connection_is_shown_and_restored_and_the_token_is_asked_for_once(
    tab, holder, tmp_path
):
    holder.publish(snapshot())
    with served(holder) as first:
        port = first.port
        tab.open(first.url)
        tab.until(f"{field('floor')} === '8'")
    tab.until("document.body.innerText.includes('connection lost, retrying')")
    assert tab.js(field("floor")) == "8"  # the last known value

    tokens = tmp_path / "tokens"
    tokens.write_text("good role=read\nscrape role=metrics\n")
    with served(holder, ApiSettings(tokens=tokens), port):
        tab.until("!document.getElementById('asking').hidden")
        for token, words in (
            ("bad", "is not accepted"),
            ("scrape", "needs role=read"),
            ("good", ""),
        ):
            tab.until("document.activeElement.id === 'token'")
            tab.write(token)
            tab.press("Enter", 13, "\r")
            shown = f"document.body.innerText.includes('{words or 'needs role=read'}')"
            tab.until(shown if words else f"!{shown}")
        holder.publish(snapshot(view(ready=5), tick=2))
        tab.until(f"{field('floor')} === '5'")
        assert tab.js("sessionStorage.getItem('tidegate-token')") == "good"
        assert tab.js("document.cookie + JSON.stringify(localStorage)") == "{}"


def test_the_page_itself_needs_no_token_but_its_data_does(tab, holder, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("good\n")
    holder.publish(snapshot())
    with served(holder, ApiSettings(tokens=tokens)) as server:
        tab.open(server.url)
        tab.until("document.activeElement.id === 'token'")
        assert "prod/shop" not in tab.js("document.body.innerText")
        tab.write("good")
        tab.press("Enter", 13, "\r")
        tab.until(f"{field('floor')} === '8'")
        tab.do("Page.reload")
        tab.until(f"{field('floor')} === '8'")  # it is not asked for again


def test_past_forecasts_are_kept_for_comparison_with_the_demand(tab, holder, url):
    shop = view()
    assert shop.forecast is not None
    tab.open(url)
    for tick in range(4):
        at = AT + 60 * tick
        forecast = replace(shop.forecast, origin=at, values=shop.forecast.values + tick)
        holder.publish(replace(snapshot(replace(shop, at=at, forecast=forecast), tick=tick), at=at))
        tab.until(f"document.getElementById('tick').innerText.includes('tick {tick},')")
        tab.until("!document.getElementById('service').hidden")

    trace = "figure.data?.find((trace) => trace.name.includes('min before'))"
    tab.until(f"window.Plotly && {trace}?.y.length === 3")
    # Three minutes have passed; the first forecast of each is kept.
    assert tab.js(f"[...{trace}.y]") == [1000.0, 1100.0, 900.0]


# Many services


def test_one_of_many_services_can_be_found_and_chosen_by_keyboard(tab, holder, url):
    views = [view(f"team/service-{number:03d}") for number in range(130)]
    holder.publish(snapshot(*views, troubled("team/broken")))
    tab.open(url)
    tab.until("document.querySelectorAll('[data-service]').length === 131")
    assert tab.js("document.getElementById('service').hidden") is True

    tab.js("document.getElementById('filter').focus()")
    tab.write("SERVICE-07")
    tab.until("document.getElementById('count').textContent === '10 of 131'")
    for _ in range(3):  # the check box, the table, its first row
        tab.press("Tab", 9)
    assert tab.js("document.activeElement.textContent") == "team/service-070"
    tab.press("Enter", 13, "\r")

    tab.until("document.activeElement.id === 'name'")
    assert tab.js("document.getElementById('name').textContent") == "team/service-070"


def test_the_list_can_be_limited_to_services_that_need_attention(tab, holder, url):
    views = [view(f"team/service-{number:03d}") for number in range(20)]
    holder.publish(snapshot(*views, troubled("team/broken")))
    tab.open(url)
    tab.until("document.querySelectorAll('[data-service]').length === 21")

    tab.js("document.getElementById('troubled').click()")

    shown = "[...document.querySelectorAll('[data-service]:not([hidden])')]"
    assert tab.js(f"{shown}.map((row) => row.dataset.service)") == ["team/broken"]


# Layout


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(tab, holder, url, dark):
    holder.publish(snapshot(view("a-long-namespace-of-a-team/and-a-long-name-of-a-service")))
    tab.open(url, width=360, height=740, dark=dark)

    tab.until("document.querySelectorAll('#figure .scatterlayer .trace').length")
    assert tab.js("document.documentElement.scrollWidth") <= 360


def test_the_page_is_light_or_dark_as_the_reader_wants_it(tab, holder, url):
    holder.publish(snapshot())
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        tab.open(url, dark=dark)
        tab.until(f"{field('floor')} === '8' && window.Plotly && figure.layout")
        seen.append((tab.js(ground), tab.js("figure.layout.font.color")))

    assert seen == [("rgb(255, 255, 255)", "#1f252b"), ("rgb(20, 24, 28)", "#e3e7eb")]


# Loaded files


def test_nothing_is_loaded_from_another_host_and_nothing_fails(tab, holder, url):
    holder.publish(snapshot())
    tab.open(url)
    tab.until("document.querySelectorAll('#figure .scatterlayer .trace').length")

    asked = [event["request"]["url"] for event in tab.named("Network.requestWillBeSent")]
    elsewhere = [a for a in asked if not a.startswith((f"{url}/", "data:", "about:", "blob:"))]
    assert len(asked) >= 7  # the page, its style sheet, five scripts, the stream
    assert elsewhere == []
    answered = [event["response"] for event in tab.named("Network.responseReceived")]
    assert [a["url"] for a in answered if a["status"] not in (0, 200)] == []
    assert tab.named("Runtime.exceptionThrown") == []
    assert tab.named("Log.entryAdded") == []


# The page's policy


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_keeps_its_policy_whatever_its_reader_does(tab, holder, url, dark):
    holder.publish(snapshot())
    tab.open(url, dark=dark)
    tab.until("document.querySelectorAll('#figure .scatterlayer .trace').length")
    assert tab.js("getComputedStyle(figure.querySelector('svg')).position") == "absolute"

    whole = tab.js("figure.scrollIntoView(), String(figure.layout.xaxis.range)")
    at = tab.js("(({x, y, width}) => [x + width / 2, y + 100])(figure.getBoundingClientRect())")
    tab.drag(*at, by=200)
    tab.until(f"String(figure.layout.xaxis.range) !== '{whole}'")
    tab.js("span.value = '21600'; span.dispatchEvent(new Event('change'))")
    holder.publish(snapshot(view(ready=11), tick=2))
    tab.until(f"{field('floor')} === '11'")

    assert tab.named("Log.entryAdded") == []
    assert tab.named("Runtime.exceptionThrown") == []


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(
            "s = document.createElement('script'); s.textContent = 'window.taken = 1';"
            "document.head.append(s)",
            id="a script in the page",
        ),
        pytest.param("setTimeout('window.taken = 1', 0)", id="a text that is run"),
        pytest.param(
            "more.innerHTML = '<img src=x onerror=\"window.taken = 1\">'", id="an attribute"
        ),
        pytest.param(
            "s = document.createElement('script'); s.src = 'data:text/javascript,window.taken=1';"
            "document.head.append(s)",
            id="a script from elsewhere",
        ),
        pytest.param(
            "more.innerHTML = '<style>body { outline: 9px solid }</style>';"
            "window.taken = getComputedStyle(document.body).outlineWidth === '9px' || undefined",
            id="a style",
        ),
    ],
)
def test_what_gets_into_the_page_is_not_run(tab, holder, url, attack):
    holder.publish(snapshot())
    tab.open(url)
    tab.until(f"{field('floor')} === '8'")

    tab.js(f"more = document.getElementById('more'); {attack}; 0")

    tab.until("true")
    assert _violations(tab)
    assert tab.js("window.taken") is None


def _violations(tab: Tab) -> list[str]:
    """Return what the browser says that the policy forbids, as soon as it says something."""
    end = time.monotonic() + PATIENCE_S
    found: list[str] = []
    while not found and time.monotonic() < end:
        texts = [event["entry"]["text"] for event in tab.named("Log.entryAdded")]
        found = [text for text in texts if "Content Security Policy" in text]
    return found


def test_the_policy_allows_nothing_inline(url):
    policy = httpx.get(url, trust_env=False).headers["content-security-policy"]
    assert "unsafe" not in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")


def test_every_file_of_the_page_has_a_content_hash_in_its_name_and_is_referenced():
    html, assets = dashboard.page()

    named = set(re.findall(r'"assets/([^"]+)"', html.decode()))
    assert named == set(assets)
    assert all(re.fullmatch(r"[a-z]+-[0-9a-f]{12}\.(js|css)", name) for name in named)
    assert not re.search(r"(src|href)=\"(https?:)?//", html.decode())


def test_every_file_of_the_page_is_in_the_package():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    patterns = tool["setuptools"]["package-data"]["scaler"]
    package = ROOT / "scaler"

    packed = {path for pattern in patterns for path in package.glob(pattern)}
    needed = {package / "adapters/dashboard" / name for name in (*dashboard.OURS, "page.html")}
    assert needed <= packed
