"""A browser for all tests of the page."""

import pytest
from browser import Browser, program


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if program() is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium-headless-shell)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
