"""The key browser: lists, values, histories and differences, whatever the keys are called."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.browser import Browser
from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.made_up_store import coded
from tests.ui.page_parts import RUNNING, each, number, text
from tests.ui.replay import Replay

pytestmark = pytest.mark.slow

HOSTILE = "/x/<img src=x onerror='broken=1'>"
KEYS = each("#key-table tbody a", "n.textContent")
STATUS = text("keys-status")
DIFF_ROWS = each("#version-diff .diff > div", "n.className + ' ' + n.lastChild.textContent")
DASH = "\N{EN DASH}"
VERSIONS = [{"replicas": 1, "image": "web"}, {"replicas": 2, "image": "web"}]


@pytest.fixture
def cluster() -> MadeUpCluster:
    """Keys of bytes, of markup, with a history, deleted, and 250 of a kind."""
    made = MadeUpCluster()
    for version in VERSIONS:
        made.put(b"/config", json.dumps(version).encode())
    made.put(HOSTILE.encode(), b"<script>broken = 1</script>")
    made.put(b"/x/\xff\xfe\x00end", bytes(range(32)))
    made.put("/x/\N{RIGHT-TO-LEFT OVERRIDE}gpj".encode(), b"")
    made.put(b"/gone", b"soon")
    made.store.delete(b"/gone")
    for one in range(250):
        made.put(f"/many/{one:03}".encode(), b"v")
    return made


def key_view(key: bytes) -> str:
    return f"#keys?key={coded(key)}"


def test_keys_are_listed_by_prefix_page_by_page(browser: Browser, replay: Replay) -> None:
    """A hundred at a time, forth and back, and the address can be linked to."""
    browser.visit(f"{replay.url()}#keys?prefix={quote('/many/')}")
    browser.wait_for(f"{STATUS}.startsWith('1 {DASH} 100 of 250 keys')")
    assert browser.evaluate(KEYS)[0] == "/many/000"
    browser.evaluate("document.getElementById('keys-next').click()")
    browser.wait_for(f"{STATUS}.startsWith('101 {DASH} 200')")
    browser.evaluate("document.getElementById('keys-next').click()")
    browser.wait_for(f"{STATUS}.startsWith('201 {DASH} 250')")
    assert browser.evaluate("document.getElementById('keys-next').disabled")
    browser.evaluate("document.getElementById('keys-back').click()")
    browser.wait_for(f"{STATUS}.startsWith('101 {DASH} 200')")
    assert browser.evaluate(KEYS)[0] == "/many/100"


def test_the_form_asks_for_a_prefix_at_a_revision(browser: Browser, replay: Replay) -> None:
    """What did not exist then is not listed; a revision to come is refused with a reason."""
    browser.visit(f"{replay.url()}#keys")
    browser.wait_for(f"{number('#key-table tbody tr')} === 100")
    fill = "document.getElementById('key-form').elements"
    submit = "document.querySelector('#key-form button').click()"
    browser.evaluate(f"({fill}.prefix.value = '/config', {fill}.rev.value = '2', {submit})")
    browser.wait_for(f"{STATUS} === '1 {DASH} 1 of 1 key, at revision 2'")
    browser.evaluate(f"({fill}.rev.value = '999999', {submit})")
    browser.wait_for(f"{STATUS}.includes('ask for that')")
    assert "ask for that" in browser.evaluate(text("banner-text"))
    browser.evaluate(f"({fill}.prefix.value = '/none', {fill}.rev.value = '', {submit})")
    browser.wait_for(f"{STATUS}.includes('an empty prefix lists all keys')")


def test_hostile_keys_and_bytes_are_shown_as_they_are(browser: Browser, replay: Replay) -> None:
    """Markup is text, bytes that are no UTF-8 are escapes, what turns the line round is visible;
    and each can be opened."""
    browser.visit(f"{replay.url()}#keys?prefix={quote('/x/')}")
    browser.wait_for(f"{number('#key-table tbody tr')} === 3")
    assert browser.evaluate(KEYS) == [HOSTILE, r"/x/\u{202e}gpj", r"/x/\xff\xfe\x00end"]
    browser.evaluate("document.querySelectorAll('#key-table a')[0].click()")
    browser.wait_for(f"{text('value')}.includes('<script>broken = 1</script>')")
    assert browser.evaluate(text("key-name")) == HOSTILE
    browser.evaluate("document.querySelectorAll('#key-table a')[2].click()")
    browser.wait_for(f"{text('value')}.includes('000010  10 11 12')")
    browser.evaluate("document.getElementById('value-format').value = 'base64'")
    browser.evaluate("document.getElementById('value-format').dispatchEvent(new Event('change'))")
    assert browser.evaluate(text("value")).startswith("AAECAwQ")
    assert browser.evaluate(number("img")) == 0
    assert browser.evaluate(RUNNING) == "undefined"


def test_a_prefix_of_bytes_can_be_typed(browser: Browser, replay: Replay) -> None:
    r"""As the list shows it: \xff is one byte."""
    typed = quote(r"/x/\xff")
    browser.visit(f"{replay.url()}#keys?prefix={typed}")
    browser.wait_for(f"{number('#key-table tbody tr')} === 1")
    assert browser.evaluate(KEYS) == [r"/x/\xff\xfe\x00end"]


def test_a_key_has_its_history_and_the_difference_of_two_versions(
    browser: Browser, replay: Replay
) -> None:
    """The last two are compared, word by word, as JSON where both are; any two can be chosen."""
    browser.visit(f"{replay.url()}{key_view(b'/config')}")
    browser.wait_for(f"{number('#history-table tbody tr')} === 2")
    assert "version 2" in browser.evaluate(text("key-facts"))
    rows = browser.evaluate(DIFF_ROWS)
    assert 'removed   "replicas": 1,' in rows
    assert 'added   "replicas": 2,' in rows
    assert browser.evaluate(each("#version-diff mark", "n.textContent")) == ["1", "2"]
    assert 'same   "image": "web"' in rows
    browser.evaluate("document.querySelector('input[name=version-newer][value=\"2\"]').click()")
    browser.evaluate("document.querySelector('input[name=version-older][value=\"3\"]').click()")
    assert 'removed   "replicas": 2,' in browser.evaluate(DIFF_ROWS)


def test_a_key_that_is_gone_still_has_its_history(browser: Browser, replay: Replay) -> None:
    """Its deletion is a version without a value."""
    browser.visit(f"{replay.url()}{key_view(b'/gone')}")
    browser.wait_for(f"{text('key-facts')}.startsWith('There is no such key')")
    assert "deleted" in browser.evaluate(text("history-table"))
    assert browser.evaluate(DIFF_ROWS) == ["removed soon"]


def test_two_revisions_of_the_store_are_compared(browser: Browser, replay: Replay) -> None:
    """Changed, added and removed keys, each with its own difference when it is opened; in pages."""
    browser.visit(f"{replay.url()}#diff?from=2&to=300&prefix={quote('/config')}")
    browser.wait_for(f"{text('diff-status')}.startsWith('1 changed key')")
    assert browser.evaluate(number("#changes .diff")) == 0
    browser.evaluate("document.querySelector('#changes summary').click()")
    browser.wait_for(f"{number('#changes .diff')} === 1")
    assert browser.evaluate(each("#changes mark", "n.textContent")) == ["1", "2"]
    browser.evaluate("location.hash = '#diff?from=7&to=300'")
    browser.wait_for(f"{text('diff-status')}.startsWith('50 changed keys, and there are more')")
    assert browser.evaluate(each("#changes .badge", "n.textContent"))[:2] == ["removed", "added"]
    browser.evaluate("document.getElementById('diff-more').click()")
    browser.wait_for(f"{text('diff-status')}.startsWith('100 changed keys')")
    browser.evaluate("location.hash = '#diff?from=300&to=300'")
    browser.wait_for(f"{text('diff-status')}.startsWith('Nothing changed')")


def test_a_cluster_with_users_asks_who_it_is(browser: Browser, replay: Replay) -> None:
    """The form comes by itself; a wrong password says so; then the page is live."""
    replay.password = "secret"
    browser.call("Page.navigate", url=f"{replay.url()}#keys")
    browser.wait_for("document.getElementById('login')?.open")
    assert browser.evaluate(text("login-error")) == ""
    fields = "document.getElementById('login-form').elements"
    submit = "document.querySelector('#login-form [type=submit]').click()"
    browser.evaluate(f"({fields}.name.value = 'root', {fields}.password.value = 'x', {submit})")
    browser.wait_for(f"{text('login-error')} === 'The name or the password is wrong.'")
    browser.evaluate(f"({fields}.password.value = 'secret', {submit})")
    browser.wait_for("'ready' in root.dataset && !document.getElementById('login').open")
    browser.wait_for(f"{number('#key-table tbody tr')} === 100")
    assert browser.evaluate(f"{fields}.password.value") == ""
    assert browser.evaluate("document.getElementById('login-open').hidden")
    browser.evaluate("sessionStorage.clear()")
