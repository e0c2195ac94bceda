"""Every command that a page shows exists, with its options, and what it sets is valid."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from controlsde.claims import claim_named
from controlsde.claims.harness.settings import with_settings
from controlsde.cli.commands import app
from controlsde.problem import list_problems, load_problem, parse_override

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "controlsde/lessons/notebooks").glob("[a-z]*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *LESSONS]
COMMANDS = typer.main.get_command(app)
SHIPPED = {name for name, _, _ in list_problems()}
OWN_CLAIMS = {"cosine-variance"}  # of the package that docs/extending.md writes
ENDS = {";", "|", "||", "&&", "&", ">", ">>", "2>", "done", "do"}


def shown(page):
    """(words after `controlsde`) of every command in a shell block or between backquotes."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`(controlsde [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " "))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *inline]:
        words = shlex.split(line.replace(";", " ; "), comments=True)
        for number, word in enumerate(words):
            if word == "controlsde":
                rest = words[number + 1 :]
                end = next((place for place, one in enumerate(rest) if one in ENDS), len(rest))
                yield [one for one in rest[:end] if one != "…"]


def parsed(words):
    """The parameters of a command line, as the application reads them; nothing is run."""
    command, context = COMMANDS, typer.Context(COMMANDS)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    return command.make_context(command.name, words, parent=context).params


def complete(words):
    """Commands that are only named between backquotes stand without their arguments."""
    return len(words) > 1 and not {"COMMAND", "--help"} & set(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_on_a_page_is_one(page):
    for words in shown(page):
        if not complete(words):
            assert words[0] in {*COMMANDS.commands, "COMMAND"}, words
            continue
        given = parsed(words)
        overrides = dict(parse_override(text) for text in given.get("overrides") or () if "KEY=" not in text)
        source = given.get("problem")
        if source is None or "$" in "".join(given.get("overrides") or ()) or "NOISE" in str(overrides):
            continue
        assert source in SHIPPED or source.endswith(".yaml") or source.isupper(), words
        load_problem(source if source in SHIPPED else "two-bumps", set=overrides)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_claim_that_a_page_runs_is_one_and_takes_what_is_set(page):
    for words in shown(page):
        if words[:2] != ["claims", "run"] or not complete(words):
            continue
        given = parsed(words)
        for name in given["names"] or ():
            if not name.isupper() and name not in OWN_CLAIMS:
                with_settings(claim_named(name).parameters, given["settings"] or ())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_make_target_on_a_page_is_one(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)
    assert set(named) <= targets


def test_every_command_of_a_recipe_for_clusters_is_one():
    recipes = sorted((ROOT / "docs/clusters").glob("*.[sy][ha]*"))
    for path in recipes:
        text = re.sub(r"(\\\n|\n +(?=--))", " ", path.read_text("utf-8"))
        (command,) = re.findall(r"controlsde (sweep .*?)(?:;|\n)", text)
        given = parsed(shlex.split(re.sub(r"\$\w+", "1", command)))
        assert given["words"] == ["iris-petals"]
        assert given["output"]
    assert {path.name for path in recipes} == {"kubernetes.yaml", "slurm_array.sh", "slurm_mpi.sh"}


def test_the_cluster_of_kubernetes_finds_its_folder_and_its_scheduler():
    from ruamel.yaml import YAML

    claim, cluster, job = YAML(typ="safe").load_all((ROOT / "docs/clusters/kubernetes.yaml").read_text("utf-8"))
    pods = [cluster["spec"]["worker"]["spec"], job["spec"]["template"]["spec"]]
    for pod in pods:
        (volume,), (container,) = pod["volumes"], pod["containers"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/runs"}]
    (command,) = pods[1]["containers"][0]["args"]
    assert f"--executor dask:tcp://{cluster['metadata']['name']}-scheduler:8786 -o /runs/" in command


def test_a_command_that_is_none_would_be_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\ncontrolsde solve two-bumps --fast\n```\n", "utf-8")
    (words,) = shown(page)
    with pytest.raises(Exception, match="--fast"):
        parsed(words)


def test_a_claim_that_is_none_would_be_seen():
    with pytest.raises(Exception, match="forward-nois"):
        claim_named("forward-nois")
    with pytest.raises(Exception, match="did you mean seeds"):
        with_settings(claim_named("forward-noise").parameters, ["seed=5"])


def test_the_page_of_commands_has_all_of_them():
    text = (ROOT / "docs/commands.md").read_text("utf-8")
    missing = [
        name for name in COMMANDS.commands if not re.search(rf"^\|.*`(?:[a-z]+`, `)?{name}\b", text, re.MULTILINE)
    ]
    assert missing == []
