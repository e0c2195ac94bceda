"""The documentation site as a stranger meets it: built without a warning, opened from files, offline, in a browser."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
MISSING = [name for name in ("sphinx", "furo", "myst_parser", "sphinx_copybutton") if find_spec(name) is None]
WIDTHS = {"desk": (1280, 800), "phone": (390, 844)}

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the site needs the extra docs: {', '.join(MISSING)}")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site, built once for all workers; a warning is an error."""
    from filelock import FileLock

    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared
    folder = shared / "site"
    with FileLock(shared / "site.lock"):
        if not (folder / "done").exists():
            command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
            run = subprocess.run(
                [*command, "-d", str(shared / "trees"), str(ROOT / "docs"), str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, run.stderr
            (folder / "done").touch()
    return folder


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need the extra browser")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """A page that is offline, and what it asked for and complained of."""

    def __init__(self, browser, site, width="desk", scheme="light", **options):
        size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
        self.site = site
        self.context = browser.new_context(viewport=size, offline=True, color_scheme=scheme, **options)
        self.page = self.context.new_page()
        self.outside, self.complaints = [], []
        self.page.on("request", lambda request: self._look_at(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _look_at(self, url):
        if not url.startswith((f"file://{self.site}", "data:")):
            self.outside.append(url)

    def open(self, name, query=""):
        self.page.goto(f"file://{self.site}/{name}{query}")
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.context.close()


class Loads(HTMLParser):
    """What a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "source", "iframe", "video"):
            self.found.append(given.get("src"))
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon"):
            self.found.append(given.get("href"))


def test_every_page_of_the_folder_is_in_the_site(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    pages = {page for page in pages if page.parts[0] not in ("_build", "claims") or len(page.parts) == 2}
    assert [str(page) for page in pages if not (site / f"{page}.html").exists()] == []


def test_no_page_loads_anything_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loads = Loads()
        loads.feed(path.read_text("utf-8"))
        assert [url for url in loads.found if url and re.match(r"(https?:)?//", url)] == [], path.name


def test_the_search_knows_the_adjoint_and_the_costate(site):
    index = (site / "searchindex.js").read_text("utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").rstrip().rstrip(";").removesuffix(")"))
    assert found["docnames"]
    assert any(word.startswith("adjoint") for word in found["terms"])
    assert any(word.startswith("costat") for word in found["terms"])


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_every_page_opens_offline_without_a_request_or_a_complaint(site, browser, step):
    with Visit(browser, site) as visit:
        pages = sorted(path.relative_to(site) for path in site.rglob("*.html"))
        assert len(pages) > 40
        for name in pages[::step]:
            visit.open(name)
        assert visit.outside == []
        assert visit.complaints == []


def test_the_search_finds_the_page_of_the_adjoint_offline(site, browser):
    with Visit(browser, site) as visit:
        page = visit.open("index.html")
        page.fill("input.sidebar-search", "adjoint")
        page.keyboard.press("Enter")
        first = page.locator("#search-results li a", has_text="The discrete adjoint").first
        first.wait_for(timeout=10_000)
        first.click()
        assert "adjoint.html" in page.url
        assert visit.outside == []
        assert visit.complaints == []


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        ("desk", "light"),
        ("phone", "dark"),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in (("desk", "dark"), ("phone", "light"))),
    ],
)
@pytest.mark.parametrize("name", ["index.html", "gallery.html", "keys.html", "glossary.html"])
def test_nothing_makes_a_page_wider_than_its_window(site, browser, name, width, scheme):
    with Visit(browser, site, width, scheme) as visit:
        page = visit.open(name)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width][0]
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_film_and_the_picture_are_in_the_first_screenful(site, browser, width):
    with Visit(browser, site, width) as visit:
        page = visit.open("index.html")
        for name in ("film", "picture"):
            box = page.locator(f"img[src*={name}]").first.bounding_box()
            assert box["y"] + box["height"] <= WIDTHS[width][1] + 5


def test_the_home_page_reads_without_scripts(site, browser):
    with Visit(browser, site, java_script_enabled=False) as visit:
        page = visit.open("index.html")
        assert page.locator("h1").first.is_visible()
        assert page.get_by_role("link", name="Quickstart").first.is_visible()


def faults(page):
    """What axe finds wrong."""
    axe = find_spec("axe_playwright_python")
    if axe is None or axe.origin is None:
        pytest.skip("the browser tests need the extra browser: no axe-core")
    page.evaluate((Path(axe.origin).parent / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']})")
    return {fault["id"]: [node["target"] for node in fault["nodes"]][:5] for fault in found["violations"]}


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("index.html", "light"),
        ("gallery.html", "dark"),
        ("quickstart.html", "light"),
        pytest.param("index.html", "dark", marks=pytest.mark.slow),
        pytest.param("gallery.html", "light", marks=pytest.mark.slow),
        pytest.param("quickstart.html", "dark", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_on_a_page(site, browser, name, scheme):
    with Visit(browser, site, scheme=scheme) as visit:
        assert faults(visit.open(name)) == {}


def test_axe_sees_a_picture_that_lost_its_words(site, browser):
    with Visit(browser, site) as visit:
        page = visit.open("index.html")
        page.evaluate("document.querySelector('img[src*=film]').removeAttribute('alt')")
        assert "image-alt" in faults(page)
