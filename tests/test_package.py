"""What a user gets: public names, versions that agree, and ready studies that load."""

import subprocess
import sys

import paredown
from paredown.search.study.config import load_config
from paredown.search.study.config_file import ready_studies


def test_public_names() -> None:
    assert sorted(paredown.__all__) == [
        "Budget",
        "Callback",
        "Cost",
        "Outcome",
        "ParedownError",
        "Plan",
        "Result",
        "Space",
        "Winner",
        "__version__",
        "load",
        "pare",
    ]
    for name in paredown.__all__:
        assert getattr(paredown, name) is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    assert not hasattr(paredown, "serach")


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, paredown, paredown.search.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_ready_study_is_valid_and_has_a_title() -> None:
    assert "digits" in ready_studies()
    for name, title in ready_studies().items():
        assert title
        assert load_config(name, {}).name == name
