"""
Keeps the bytecode of what Python imports from zip files.

A module of Ansible comes as a zip file with all that it imports, and Python compiles that anew each time: half of what
a module costs, and tests run thousands of them on two processors. Each start of Python loads this: on test hosts by a
.pth file, on the controller by sitecustomize.py.
"""

import hashlib
import marshal
import os
import zipimport

FOLDER = os.environ.get("MODULE_BYTECODE", "/var/cache/module_bytecode")
PYTHON = zipimport._bootstrap_external.MAGIC_NUMBER
compile_source = zipimport._compile_source


def compile_once(path: str, source: bytes) -> object:
    # What follows the archive's own path, which is another one each time, stands in tracebacks.
    inside = path.rpartition(".zip")[2]
    file = os.path.join(FOLDER, hashlib.sha256(PYTHON + inside.encode() + b"\0" + source).hexdigest())
    try:
        with open(file, "rb") as stream:
            return marshal.load(stream)
    except OSError:
        code = compile_source(path, source)
    try:
        # Modules run side by side.
        with open(f"{file}.{os.getpid()}", "wb") as stream:
            marshal.dump(code, stream)
        os.replace(stream.name, file)
    except OSError:
        # Tests fill disks, and not all users may write here: a module must run all the same.
        pass
    return code


zipimport._compile_source = compile_once
