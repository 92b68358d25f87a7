"""A Python environment of its own, with all that this one has, into which packages are installed without a network."""

import site
import subprocess
import sys
import sysconfig
from pathlib import Path


class PrivateVenv:
    """A virtual environment in `folder`; what is installed there is nowhere else."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        [packages] = (folder / "lib").glob("python*/site-packages")
        ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
        links = "".join(f"import site; site.addsitedir({path!r})\n" for path in sorted(ours))
        (packages / "those_of_the_tests.pth").write_text(links)

    def install(self, *packages: str, cwd: Path) -> str:
        """Build and install packages that lie in `cwd`, as `pip install` does; what it says."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "install"]
        offline = ["--no-build-isolation", "--no-deps", "--no-index", "--no-cache-dir", *packages]
        return subprocess.run([*pip, *offline], cwd=cwd, check=True, capture_output=True, text=True).stdout
