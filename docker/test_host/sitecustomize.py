"""
For scripts/test, whose modules and runs of Ansible are on the controller as well. Thousands of short processes each
find anew what the ones before them found; here they leave it to the next ones.
"""

import contextlib
import gc
import hashlib
import importlib.util
import marshal
import os
import sys
from collections.abc import Callable
from types import ModuleType

import module_bytecode

# Looking for cycles among the many objects of a short process takes a twentieth of its time and finds next to nothing.
gc.set_threshold(100_000, 50, 50)


def recall(kind: str, *what: object) -> tuple[object, Callable[[object], None]]:
    """What was found out about these before, None when nothing was; and a function that keeps it."""
    key = hashlib.sha256(repr((kind, sys.version, *what)).encode()).hexdigest()
    file = os.path.join(module_bytecode.FOLDER, f"{kind}-{key}")

    def keep(found: object) -> None:
        with contextlib.suppress(OSError):
            with open(f"{file}.{os.getpid()}", "wb") as stream:
                marshal.dump(found, stream)
            os.replace(stream.name, file)

    try:
        with open(file, "rb") as stream:
            return marshal.load(stream), keep
    except (OSError, EOFError, ValueError):
        return None, keep


def read_once(module: ModuleType) -> None:
    """A collection's runtime.yml: the one of ansible.builtin takes a tenth of a second of each start."""
    # The module says that others may put themselves in this function's place, for instance to remember what it reads.
    read = module._meta_yml_to_dict

    def remembered(text: bytes | str, content_id: object) -> dict:
        found, keep = recall("meta", text)
        if found is None:
            found = read(text, content_id)
            keep(found)
        return found

    module._meta_yml_to_dict = remembered


def compile_once(module: ModuleType) -> None:
    """Templates: each task is a process that compiles all that it needs, a sixth of a run's time."""
    environment = module.AnsibleEnvironment
    compile_template, compile_expression = environment.compile, environment.compile_expression
    # The expression that is being compiled: Jinja makes a template's tree of it and compiles that.
    expressions = []

    def about(self: object) -> tuple:
        context = module._TemplateCompileContext.current(optional=True)
        overrides = [getattr(self, name) for name in module._TEMPLATE_OVERRIDE_FIELD_NAMES]
        return (module.__file__, overrides, bool(context and context.escape_backslashes))

    def remembered(
        self: object, source: object, name: object = None, filename: object = None, raw: bool = False, **options: object
    ) -> object:
        text = source if isinstance(source, str) else expressions[-1] if expressions else None
        if text is None or name or filename or raw or options:
            return compile_template(self, source, name, filename, raw, **options)
        found, keep = recall("template", isinstance(source, str), str(text), *about(self))
        if found is None:
            found = compile_template(self, source)
            keep(found)
        return found

    def remembered_expression(self: object, source: str, undefined_to_none: bool = True) -> object:
        found, _keep = recall("template", False, str(source), *about(self))
        if found is not None:
            template = self.template_class.from_code(self, found, self.make_globals(None), None)
            return module.TemplateExpression(template, undefined_to_none)
        expressions.append(source)
        try:
            return compile_expression(self, source, undefined_to_none)
        finally:
            expressions.pop()

    environment.compile, environment.compile_expression = remembered, remembered_expression


def pack_once(module: ModuleType) -> None:
    """
    The archives in which modules travel. Ansible keeps them for the rest of a run, here they are kept for the rest of a
    run of scripts/test.
    """
    if not (folder := os.environ.get("MODULE_ARCHIVES")):
        return
    constants = module.C
    places = (constants.COLLECTIONS_PATHS, constants.DEFAULT_MODULE_PATH, constants.DEFAULT_MODULE_UTILS_PATH)
    place = os.path.join(folder, hashlib.sha256(repr(places).encode()).hexdigest())
    with contextlib.suppress(FileExistsError):
        os.makedirs(place, exist_ok=True)
        os.symlink(place, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))


CHANGES = {
    "ansible.utils.collection_loader._collection_finder": read_once,
    "ansible._internal._templating._jinja_bits": compile_once,
    "ansible.executor.module_common": pack_once,
}


class Changed:
    """Changes modules when they are imported."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        if not (change := CHANGES.pop(name, None)):
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Changed)
