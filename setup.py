"""What pyproject.toml cannot say: the files that `scaler files` writes are data of a package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["forecaster*", "scaler*"]), "scaler.shipped"],
    package_dir={"scaler.shipped": "."},
)
