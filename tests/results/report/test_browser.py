"""The report in a real headless Chromium."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from llava_eval import cli
from llava_eval.types import NOT_SCORED, Generation, Score
from tests.conftest import DEMO
from tests.processes import PATIENCE_SECONDS
from tests.results.report.conftest import OpenPage
from tests.results.runs_on_disk import answered, failed, write_run

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
expect.set_options(timeout=1000 * PATIENCE_SECONDS)

pytestmark = pytest.mark.slow

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<!-- <script> ]]> --!>",
    "a\u2028b\u2029c \x00\x1b[31m",
    "\u202egnp.exe\u202c",
    "javascript:alert(1)",
    "${alert(1)} `${alert(1)}` {{alert(1)}}",
    "&lt;b&gt; &amp; &#60;",
    "https://evil.example/x.png",
    "half \ud800 pair",
    "שלום עולם 🎥 日本",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report of two runs over the embedded videos."""
    folder = tmp_path_factory.mktemp("report")
    states = (True, False, None)
    config = {"benchmark.media_root": str(DEMO / "videos")}
    media = [(f"demo_{number // 3 + 1:03}.mp4",) for number in range(60)]
    first = [
        answered(
            n, states[n % 3], media=media[n], frame_indices=((0, 5, 9),), question=f"Question {n}?"
        )
        for n in range(60)
    ]
    first[7] = dataclasses.replace(failed(7, "MediaError: 2.mp4 is broken"), media=media[7])
    second = [
        answered(n, n % 3 != 1 or n > 30 or n == 7, media=media[n], frame_indices=((0, 9),))
        for n in range(60)
    ]
    second[2] = dataclasses.replace(second[2], generation=Generation("A", 100, None, "eos"))
    write_run(folder / "a", first, config={**config, "errors.max": 1})
    write_run(folder / "b", second, config=config, label="made/up (num_frames=2)")
    out = folder / "report.html"
    command = ["report", str(folder / "a"), str(folder / "b"), "--out", str(out)]
    assert cli.run_command([*command, "--thumbnails-seconds", "600"]) == 0
    return out


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report in which every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    results = []
    for n in range(3 * len(HOSTILE)):
        text = HOSTILE[n % len(HOSTILE)]
        error = n % 7 == 0
        results.append(
            answered(
                n,
                True,
                id=f"{n} {text}",
                group=text,
                facets={"duration": text},
                question=f"What is {text}?",
                choices=(text, "other"),
                prompt=f"Prompt {text}",
                target=(text,),
                media=(text,),
                generation=Generation(None, error=text) if error else Generation(text, 1, 1, "eos"),
                score=NOT_SCORED if error else Score(0.0, text, details={text: text}),
            )
        )
    name = "bench</title><script>alert(2)</script>"
    run = write_run(
        folder / "run",
        results,
        label=name,
        config={"errors.max": 99},
        manifest={"model_label": "<b onclick=alert(3)>", "git_commit": "<i>"},
    )
    out = folder / "report.html"
    assert cli.run_command(["report", str(run), "--out", str(out)]) == 0
    return out


def test_it_loads_and_shows_the_numbers(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    assert page.title() == "made/up: llava-eval report"
    text = page.locator("main").inner_text()
    for part in ("33.3", "% accuracy", "accuracy by duration", "McNemar p", "samples/s", "Cost"):
        assert part in text
    assert page.locator("#count").inner_text() == "60 of 60 samples"
    assert page.locator(".row").count() < 30, "the list holds only what can be seen"
    assert page.locator("#detail-title").inner_text() == "q1", "the first that went wrong"
    assert "at most 16 tokens" in page.locator(".protocol").inner_text()


def test_a_link_of_a_level_shows_the_samples_that_its_table_counts(
    tmp_path: Path, watched: OpenPage
) -> None:
    kinds = ("action+object", "object", "18+", "action")
    results = [answered(n, True, facets={"kind": kinds[n % 4]}) for n in range(8)]
    run, out = write_run(tmp_path / "run", results, facets=("kind",)), tmp_path / "report.html"
    assert cli.run_command(["report", str(run), "--out", str(out)]) == 0
    for level, number in (("action", 4), ("object", 4), ("18+", 2)):
        page = watched().open(out)
        named = page.locator("th", has=page.get_by_role("link", name=level, exact=True))
        assert f"{number} samples" in named.inner_text()
        named.get_by_role("link").click()
        expect(page.locator("#count")).to_have_text(f"{number} of 8 samples")
        names = page.locator("#facets option").all_inner_texts()
        assert names == ["all", "action", "object", "18+"]


def chip(name: str) -> str:
    return f"#chips button:has-text('{name}')"


def test_filters(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    counts = {"wrong": 19, "unreadable": 20, "failed": 1, "right": 20}
    for name, count in counts.items():
        page.click(chip(name))
        assert page.locator("#count").inner_text() == f"{count} of 60 samples"
        assert page.locator(chip(name)).get_attribute("aria-pressed") == "true"
        page.click(chip(name))
    page.click(chip("wrong"))
    page.click(chip("unreadable"))
    assert page.locator("#count").inner_text() == "39 of 60 samples"
    page.click(chip("wrong"))
    page.click(chip("unreadable"))
    page.click(chip("flipped"))
    # unreadable in A and right in B, or wrong in A and right in B; one that failed in A has not
    assert page.locator("#count").inner_text() == "30 of 60 samples"
    page.click(chip("flipped"))
    page.select_option("#facets select", label="short")
    assert page.locator("#count").inner_text() == "30 of 60 samples"
    page.click(chip("failed"))
    assert page.locator(".row").count() == 1
    page.select_option("#facets select", label="all")
    page.select_option("#run", label="B made · num_frames=2")
    assert page.locator("#count").inner_text() == "0 of 60 samples"
    assert page.locator("#nothing").is_visible()


def test_search_looks_into_everything(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    for words, count in (
        ("Question 17?", 1),
        ("q17", 1),
        ("2.mp4 BROKEN", 1),
        ("demo_003.mp4", 3),
        ("well", 20),
        ("nothing holds this", 0),
        ("", 60),
    ):
        page.fill("#search", words)
        expect(page.locator("#count")).to_have_text(f"{count} of 60 samples")


def test_order(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    page.select_option("#order", "rise")
    first = page.locator(".row").first
    assert [mark.get_attribute("title") for mark in first.locator(".mark-box").all()] in (
        [["unreadable", "right"], ["wrong", "right"]]
    )


def test_one_sample(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    page.select_option("#order", "row")
    page.click("#row-2")
    page.wait_for_selector("#detail-title:has-text('q2')")
    detail = page.locator("#detail")
    text = detail.inner_text()
    for part in ("Question 2?", "unreadable", "well", "(none could be read)", "100 in, 2 out"):
        assert part in text
    assert "null" not in text, "of run B no one counted the output tokens"
    assert detail.locator(".choices .target").inner_text().startswith("A")
    assert page.url.endswith("#order=row&sample=0/q2")
    page.click("#detail summary")
    assert "Which?" in detail.locator("details pre").inner_text()
    pictures = detail.locator(".frames img")
    assert pictures.count() == 3
    assert pictures.first.get_attribute("alt") == "frame 0 of demo_001.mp4"
    assert page.evaluate("[...document.images].every((one) => one.naturalWidth > 50)")


def test_a_link_opens_its_sample(report: Path, watched: OpenPage) -> None:
    page = watched().open(report, "#sample=0/q41")
    page.wait_for_selector("#detail-title:has-text('q41')")
    assert page.locator(".row[aria-selected=true]").count() == 1
    for odd in ("#sample=9/q1", "#sample=0/none", "#sample=0/%E0%A4%A", "#x"):
        watched().open(report, odd)


def test_the_address_holds_the_view(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    steps = [page.url]
    page.select_option("#run", "1")
    page.select_option("#other", "0")
    page.click(chip("wrong"))
    page.select_option("#facets select", label="long")
    page.select_option("#order", "row")
    page.fill("#search", "which")
    view = "#run=B&against=A&show=wrong&by.duration=long&search=which&order=row&sample=0/q4"
    expect(page).to_have_url(re.compile(f"{re.escape(view)}$"))
    expect(page.locator("#count")).to_have_text("5 of 60 samples")
    steps += [page.url]
    page.go_back()
    expect(page.locator("#search")).to_have_value("")
    assert page.input_value("#order") == "row"
    page.go_back()
    expect(page.locator("#order")).to_have_value("wrong")
    for _ in range(4):
        page.go_back()
    expect(page).to_have_url(steps[0])
    expect(page.locator("#count")).to_have_text("60 of 60 samples")
    other = watched().open(report, f"#{steps[1].partition('#')[2]}")
    expect(other.locator("#count")).to_have_text("5 of 60 samples")
    assert other.url == steps[1]
    chosen = [other.input_value(f"#{name}") for name in ("run", "other", "order", "search")]
    assert chosen == ["1", "0", "row", "which"]
    assert other.locator(chip("wrong")).get_attribute("aria-pressed") == "true"


def test_a_filter_shows_its_first_match_and_tables_lead_to_samples(
    report: Path, watched: OpenPage
) -> None:
    page = watched().open(report)
    page.click(chip("unreadable"))
    page.wait_for_selector("#detail-title:has-text('q2')")
    page.click(".tables a:has-text('short')")
    expect(page.locator("#count")).to_have_text("30 of 60 samples")
    first = page.locator("#row-0 .mark-box").first
    assert first.get_attribute("title") == "wrong"
    page.click(".card a:has-text('1 failed')")
    page.wait_for_selector("#detail-title:has-text('q7')")
    page.fill("#search", "nothing holds this")
    expect(page.locator("#detail")).to_be_empty()


def test_paper_is_light_and_lists_the_samples(report: Path, watched: OpenPage) -> None:
    page = watched(dark=True).open(report)
    page.click(chip("failed"))
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 31, 38)"
    assert not page.locator(".explorer").is_visible()
    printed = page.locator("#printed").inner_text()
    assert "1 of 60 samples (failed)" in printed
    for part in ("q7", "Which?", "target A x", "A ! MediaError: 2.mp4 is broken"):
        assert part in printed
    page.set_viewport_size({"width": 688, "height": 900})
    hidden = "[...document.querySelectorAll('.scroll')].some((one) => one.scrollWidth > 688)"
    assert not page.evaluate(hidden)


def test_of_many_samples_paper_lists_the_first_ones(tmp_path: Path, watched: OpenPage) -> None:
    # every third is wrong: 200 of 600, the first 100 of which lie in two of three chunks of details
    results = [
        answered(
            n,
            n % 3 > 0,
            question=f"Which of {n}?",
            facets={"duration": "short" if n % 50 else "long"},
        )
        for n in range(600)
    ]
    run, out = write_run(tmp_path / "run", results), tmp_path / "report.html"
    assert cli.run_command(["report", str(run), "--out", str(out)]) == 0
    page = watched().open(out)
    orders = page.locator("#order option:not([hidden])").all_inner_texts()
    assert orders == ["wrong first", "as in the benchmark"], "of one run nothing drops or rises"
    assert page.evaluate("prepareToPrint().then(() => explorer.chunks.size)") == 2
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    said = page.locator("#printed > p")
    assert said.text_content() == (
        "made/up: 600 of 600 samples; A made. The first 100, wrong first, follow; 500 are left out."
    )
    listed = page.locator("#printed li")
    assert listed.count() == 100
    assert [listed.nth(n).locator("bdi").first.text_content() for n in (0, 99)] == [
        "Which of 0?",
        "Which of 297?",
    ]
    assert listed.nth(99).locator(".run").text_content() == "A ✗ B y"
    page.select_option("#facets select", label="long")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert said.text_content() == "made/up: 12 of 600 samples (long); A made"
    assert listed.count() == 12


@pytest.mark.parametrize("width", [1300, 400])
def test_all_that_scrolls_is_reached_by_keys(tmp_path: Path, watched: OpenPage, width: int) -> None:
    prompt = "\n".join(f"Line {number} of a long prompt." for number in range(60))
    runs = [
        write_run(
            tmp_path / str(frames),
            [answered(n, n % frames > 0, prompt=prompt) for n in range(9)],
            config={"sampler.num_frames": frames},
            seconds=seconds,
        )
        for frames, seconds in ((2, 10.0), (4, 20.0), (8, 30.0))
    ]
    out = tmp_path / "report.html"
    assert cli.run_command(["report", *map(str, runs), "--out", str(out)]) == 0
    page = watched(width=width).open(out)
    scrolling = page.evaluate(
        "[...document.querySelectorAll('main .set:not(:last-child) *')].filter((e) =>"
        " getComputedStyle(e).overflowX !== 'visible'"
        " && (e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight))"
        ".map((e) => [e.tagName, e.tabIndex])"
    )
    assert ["PRE", 0] in scrolling, "the prompt"
    assert (["DIV", 0] in scrolling) == (width == 400), "tables and curves"
    assert [place for _, place in scrolling if place != 0] == []
    top = page.evaluate("document.querySelector('.card').getBoundingClientRect().top")
    assert top < 850, "a score is on the first screen"


def test_all_columns_are_seen_at_1280_pixels(report: Path, watched: OpenPage) -> None:
    page = watched(width=1280).open(report)
    script = (
        "[...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth)"
    )
    assert page.evaluate(script)


def test_keys(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    page.select_option("#order", "row")
    page.keyboard.press("Tab")
    page.keyboard.press("j")
    page.wait_for_selector("#detail-title:has-text('q1')")
    assert page.evaluate("document.activeElement.id") == "list"
    assert page.locator("#list").get_attribute("aria-activedescendant") == "row-1"
    page.keyboard.press("End")
    page.wait_for_selector("#detail-title:has-text('q59')")
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    page.wait_for_selector("#detail-title:text-is('q0')")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail-title"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("/")
    page.keyboard.type("j/k?")
    assert page.input_value("#search") == "j/k?"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_everything_is_reached_by_tab(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "keys", "theme", "search", "run", "other", "order", "list", "detail"} <= seen


def test_names_for_screen_readers(report: Path, watched: OpenPage) -> None:
    page = watched().open(report)
    page.click("#row-0")
    tree = page.locator("body").aria_snapshot()
    for part in (
        'listbox "Samples"',
        'option "wrong',
        'searchbox "Search in samples"',
        'group "Show only"',
        'region "Sample q1"',
        'combobox "order"',
        "status",
        'heading "Samples" [level=2]',
        'columnheader "samples"',
        'navigation "Sections"',
    ):
        assert part in tree or part.replace("wrong", "right") in tree, part


@pytest.mark.parametrize("width", [1300, 400])
def test_light_and_dark(report: Path, watched: OpenPage, width: int) -> None:
    grounds = {}
    for dark in (False, True):
        page = watched(dark=dark, width=width).open(report)
        script = "getComputedStyle(document.body).backgroundColor"
        grounds[dark] = page.evaluate(script)
        shown = "document.documentElement.dataset.theme"
        for _ in range(10):
            while page.inner_text("#theme") != "Theme: dark":
                page.click("#theme")
            assert page.evaluate(shown) == "dark"
            page.evaluate("localStorage.setItem('probe', 'kept')")
            page.reload()
            # A busy browser may lose all that a page has stored; that says nothing about ours.
            if page.evaluate("localStorage.getItem('probe')") == "kept":
                assert page.inner_text("#theme") == "Theme: dark"
                assert page.evaluate(shown) == "dark"
                break
        else:
            pytest.skip("this browser keeps nothing")
    assert grounds[False] != grounds[True]


def test_a_narrow_page_shows_one_thing_at_a_time(report: Path, watched: OpenPage) -> None:
    page = watched(width=400).open(report)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert not page.locator("#detail").is_visible()
    page.click("#row-1")
    page.wait_for_selector("#detail-title:has-text('q4')")
    assert page.locator("#detail").is_visible()
    page.click("text=← Samples")
    assert not page.locator("#detail").is_visible()


def test_hostile_texts_stay_texts(hostile_report: Path, watched: OpenPage) -> None:
    """No dialog, no request, no console message (see the fixture), and the texts can be read."""
    page = watched().open(hostile_report)
    assert page.locator("main script, main img, main svg:not(.chart)").count() == 0
    assert "bench</title><script>alert(2)</script>" in page.title()
    page.select_option("#order", "row")
    for place, text in enumerate(HOSTILE):
        page.keyboard.press("Home") if place == 0 else page.keyboard.press("j")
        if place < 8:
            page.click(f"#row-{place}")
        visible = text.split("\u2028")[0].split("\u202e")[0].replace("\ud800", "U+D800")
        expect(page.locator("#detail")).to_contain_text(visible)
        shown = page.locator("#detail").text_content() or ""
        assert visible in shown, text
    assert page.locator("#detail script, #detail iframe, #detail svg, #detail a").count() == 1
    for text in ("</script>", "onerror=alert", "evil.example"):
        page.fill("#search", text)
        expect(page.locator("#count")).to_have_text(re.compile("^3 of"))


def test_acting_characters_are_shown_as_codes(hostile_report: Path, watched: OpenPage) -> None:
    page = watched().open(hostile_report)
    page.select_option("#order", "row")
    page.click("#row-5")
    page.wait_for_selector("#detail .code")
    codes = page.locator("#detail pre .code").all_inner_texts()
    assert "U+202E" in codes
    assert "\u202e" not in (page.locator("body").text_content() or "")


def test_a_strange_folder_is_no_danger(report: Path, tmp_path: Path, watched: OpenPage) -> None:
    strange = tmp_path / "a #%20 'folder'"
    strange.mkdir()
    copy = strange / "report.html"
    copy.write_bytes(report.read_bytes())
    watched().open(copy)
