"Package metadata comes from settings.ini; the version from vidcls/__init__.py."
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
cfg = ConfigParser(delimiters=["="], interpolation=None)
cfg.read(here/"settings.ini", encoding="utf-8")
cfg = cfg["DEFAULT"]
version = re.search(r'__version__ = "(.+?)"', (here/"vidcls/__init__.py").read_text(encoding="utf-8")).group(1)
url = f"https://github.com/{cfg['user']}/{cfg['repo']}"

# Who develops needs every extra: no test is skipped for want of one
extras = {k.removesuffix("_requirements"): cfg[k].split() for k in cfg if k.endswith("_requirements")}
extras["dev"] = list(dict.fromkeys(r for k in ("dev", *extras) for r in extras[k]))

setup(
    version=version,
    description=cfg["description"],
    long_description=(here/"README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license=cfg["license"],
    keywords=cfg["keywords"].split(),
    url=url,
    project_urls={"Source": url, "Issues": f"{url}/issues"},
    packages=find_packages(include=["vidcls", "vidcls.*"]),
    include_package_data=True,
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": cfg["console_scripts"].split(), "nbdev": ["vidcls=vidcls._modidx:d"]},
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
