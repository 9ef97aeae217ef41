"""Every package says what it is for and hands on what it promises."""

import importlib
import pkgutil

import pytest

import apex_actors

PACKAGES = [
    module.name
    for module in pkgutil.walk_packages(apex_actors.__path__, "apex_actors.")
    if module.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_has_a_purpose_and_its_exports_exist(name):
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} does not say what it is for"
    exported = package.__all__
    assert [missing for missing in exported if not hasattr(package, missing)] == []
    assert len(exported) == len(set(exported))
