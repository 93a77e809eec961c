"""For scripts/test, whose modules run on the controller as well."""

import module_bytecode  # noqa: F401 It acts when it is imported.
