"""The JSON schema takes what the models take, and config/README.md says the same."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from avzsl.cli import main
from avzsl.config.files import SHIPPED
from avzsl.config.schema import FILES, json_schema, tables

README = SHIPPED / "README.md"
SHIPPED_FILES = [
    (what, path)
    for what, (folder, _) in FILES.items()
    for path in sorted((SHIPPED / folder).glob("*.yaml"))
]  # fmt: skip


@pytest.fixture(scope="module")
def validators() -> dict[str, jsonschema.Draft202012Validator]:
    found = {what: jsonschema.Draft202012Validator(json_schema(what)) for what in FILES}
    for validator in found.values():
        validator.check_schema(validator.schema)
    return found


@pytest.mark.parametrize(("what", "path"), SHIPPED_FILES, ids=lambda value: getattr(value, "stem", value))
def test_every_shipped_file_fits_its_schema(validators, what: str, path: Path) -> None:
    errors = list(validators[what].iter_errors(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert not errors, errors[0].message


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("config", {"benchmarks": "demo", "sedes": [1]}),
        ("config", {"benchmarks": {"demo": {"dataset": "demo", "seeds": 1}}}),
        ("config", {"benchmarks": "demo", "seeds": [-1]}),
        ("dataset", {"catalog": {"module": "folder", "rot": "x"}, "embeddings": {"table": "demo"}}),
        ("dataset", {"catalog": {"module": "folder"}, "embeddings": {"table": "demo"}}),
        ("dataset", {"catalog": {"module": "demo"}, "embeddings": {"tabel": "demo"}}),
        ("dataset", {"catalog": {"module": "demo"}, "embeddings": {"backend": "released", "table": "x", "lowercase": True}}),
        ("features", {"weights": {"random_seed": 0}, "execution": "fast"}),
        ("features", {"extractor": "pretrained", "windows": "uniform"}),
        ("method", {"title": "M", "source": "s", "module": "avca", "options": {"output": "visul"}}),
        ("method", {"title": "M", "source": "s", "module": "ridge", "options": {"output": "visual"}}),
        ("method", {"title": "M", "source": "s", "module": "avca", "presets": {"as_released": {"options": {"margin": -1}}}}),
        ("method", {"title": "M", "source": "s", "variant_of": "avca", "presets": {}}),
    ],
)  # fmt: skip
def test_a_mistake_does_not_fit(validators, what: str, values: dict) -> None:
    assert not validators[what].is_valid(values)


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("config", {"benchmarks": ["demo", "ucf"]}),
        ("config", {"benchmarks": {"demo": None}}),
        ("dataset", {"catalog": {"module": "ucf101", "lists": "x"}, "embeddings": {"table": "demo"}}),
        ("dataset", {"catalog": {"module": "somebody.elses", "key": 1}, "embeddings": {"backend": "others.own", "k": 1}}),
        ("method", {"title": "M", "source": "s", "variant_of": "avca", "options": {"margin": 2}}),
    ],
)  # fmt: skip
def test_what_the_models_take_fits(validators, what: str, values: dict) -> None:
    assert validators[what].is_valid(values)


def test_the_readme_holds_the_tables_of_all_keys() -> None:
    found = README.read_text(encoding="utf-8").split("<!-- tables -->\n", 1)[1].strip()
    wanted = "".join(f"### {title}\n\n{table}\n\n" for title, table in tables().items()).strip()
    assert found == wanted, (
        "run: avzsl schema --tables, and put what it prints below <!-- tables --> of config/README.md"
    )


def test_every_key_has_a_description() -> None:
    for title, table in tables().items():
        for row in table.splitlines()[2:]:
            assert not row.endswith("|  |"), f"{title}: {row}"


def test_the_command_writes_a_schema_for_each_kind_of_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--write", str(tmp_path / "schema")]) == 0
    assert {path.stem for path in (tmp_path / "schema").iterdir()} == set(FILES)
    assert "datasets/*.yaml" in capsys.readouterr().out
