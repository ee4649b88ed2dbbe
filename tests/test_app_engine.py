"""The page with the true engine: one whole journey in a real browser, without any stand-in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from veil.attacks import packaged
from veil.ui.web.server import opened

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SHOTS = Path(__file__).parents[1] / "artefacts" / "page"
PATIENCE = 240_000.0  # milliseconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_the_astronaut_is_protected(portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back afterwards
    SHOTS.mkdir(parents=True, exist_ok=True)
    with opened() as (_, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(address)
        page.locator("#veil-photos input[type=file]").set_input_files(portrait)
        expect(page.locator(".veil-face")).to_have_count(1, timeout=PATIENCE)
        page.get_by_label("Strong:").first.check()
        page.get_by_label("Quick:").first.check()
        page.locator("#veil-start").click()
        expect(page.locator(".veil-progress img")).to_be_visible(timeout=PATIENCE)
        page.screenshot(path=SHOTS / "true-progress.png", full_page=True)
        rows = page.locator(".veil-verdict tbody tr")
        expect(rows).to_have_count(len(packaged()), timeout=PATIENCE)
        expect(rows.first).to_contain_text("honest judge")
        assert page.get_by_text("no longer recognises you").count() >= 2
        page.screenshot(path=SHOTS / "true-result.png", full_page=True)
        browser.close()
